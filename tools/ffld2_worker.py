"""Finds faces with FFLD2 for affkit: pictures on stdin, boxes on stdout, until stdin ends.

Runs in the environment that tools/build_ffld2.sh makes, apart from affkit: FFLD2 is under the AGPL-3, affkit
under the MIT licence. The talk is binary, little-endian:

- first, once: ``FFLD2`` and a line feed, when the model is read
- a question: height and width (uint32), least score (float32), then height * width * 3 bytes RGB
- the answer: number of faces (uint32), then score, x, y, width, height (float32) of each, best first
"""

import os
import struct
import sys

# FFLD2 plans its Fourier transforms for each size of picture, which takes seconds; here it keeps the plans.
os.chdir(os.path.dirname(os.path.abspath(__file__)))
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what the library prints is no answer

import numpy as np  # noqa: E402
from cyffld2 import detect_frontal_faces, get_frontal_face_mixture_model  # noqa: E402

get_frontal_face_mixture_model()
answers.write(b"FFLD2\n")
answers.flush()
while header := sys.stdin.buffer.read(12):
    height, width, least = struct.unpack("<IIf", header)
    pixels = sys.stdin.buffer.read(height * width * 3)
    picture = np.frombuffer(bytearray(pixels), np.uint8).reshape(height, width, 3)
    found = detect_frontal_faces(picture, threshold=least, cache_wisdom=True)
    answers.write(struct.pack("<I", len(found)))
    for face in found:
        answers.write(struct.pack("<5f", face.score, face.x, face.y, face.width, face.height))
    answers.flush()
