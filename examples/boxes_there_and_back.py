"""Convert boxes to the coordinate frame of Qwen2.5-VL and back to original-image pixels."""

import numpy as np

from verl_vision_r1.frames import smart_resize, to_frame

original = (640, 480)
seen = smart_resize(*original, factor=28, min_pixels=3136, max_pixels=401408)
boxes = np.array([[100.0, 100.0, 300.0, 300.0]])
answer = to_frame(boxes, original, seen)
print(f"{original} is seen as {seen}: {boxes[0].tolist()} becomes {answer[0].round(1).tolist()}")
print("and back:", to_frame(answer, seen, original)[0].round(6).tolist())
