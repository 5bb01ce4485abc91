#!/usr/bin/env python3
"""Writes tests/formats/golden: casts by ml_dtypes, and NVFP4 blocks by numpy and ml_dtypes, for tests/formats.

Needs numpy and ml_dtypes (the committed files: ml_dtypes 0.6). All numbers are hexadecimal bit patterns.
  casts.txt   element  float32  code     round to nearest, ties to even, within the finite range of the element
  values.txt  element  code  float32     what every code decodes to
  nvfp4.txt   tensor_scale  scale_byte  packed_codes  16 float32 values, one block a line
"""
import pathlib

import ml_dtypes
import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "formats" / "golden"
ELEMENTS = {
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "bf16": ml_dtypes.bfloat16,
}
CODES = {"e2m1": 16, "e4m3": 256, "e5m2": 256, "e8m0": 256}


def bits(x):
    return np.asarray(x, np.float32).view(np.uint32)


def codes_of(x, dtype):
    return np.asarray(x, np.float32).astype(dtype).view(np.uint16 if dtype == ml_dtypes.bfloat16 else np.uint8)


def middles(values):
    """Ties between neighbours, and the floats on either side of each tie."""
    tie = ((values[:-1].astype(np.float64) + values[1:]) / 2).astype(np.float32)
    return np.concatenate([tie, np.nextafter(tie, np.float32(np.inf)), np.nextafter(tie, np.float32(0))])


def casts(random):
    for name, dtype in ELEMENTS.items():
        if name == "bf16":
            x = random.integers(0, 0x7F7F0000, 300, np.uint32)
            x[:100] = x[:100] & 0xFFFF0000 | 0x8000  # ties
            x = x.view(np.float32)
        else:
            finite = np.arange(CODES[name] // 2, dtype=np.uint8).view(dtype).astype(np.float32)
            finite = finite[np.isfinite(finite)]
            x = np.concatenate([finite, middles(finite), random.uniform(0, finite[-1], 50).astype(np.float32)])
        for value in np.concatenate([x, -x]):
            yield name, bits(value), codes_of(value, dtype)
    x = np.exp2(random.uniform(-126, 127, 100)).astype(np.float32)
    for value in np.concatenate([x, np.float32([1, 1.5, 3, 2.0**-126, 2.0**127])]):
        yield "e8m0", bits(value), codes_of(value, ml_dtypes.float8_e8m0fnu)


def blocks(random):
    """The definition in numpy: float32 arithmetic, one rounding an operation."""
    f32 = np.float32
    for i in range(200):
        x = (random.standard_normal(16) * 10.0 ** random.integers(-6, 3)).astype(f32)
        if i % 10 == 0:
            x[:] = 0
        if i % 10 == 1:
            x = (x * f32(1e-30)).astype(f32)  # a scale below the smallest E4M3
        if i % 10 == 2:
            x[::2] = np.float32([-0.0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 6])  # ties at scale 1
            x[1::2] = -x[::2]
        tensor_scale = f32(2.0 ** random.integers(-20, 5)) if i % 2 else f32(random.uniform(1e-4, 1))
        if i % 10 == 2:
            tensor_scale = f32(1)
        amax = np.abs(x).max()
        scale = np.minimum(amax / (f32(6) * tensor_scale), f32(448)).astype(ml_dtypes.float8_e4m3fn)
        if amax == 0:
            scale = f32(1).astype(ml_dtypes.float8_e4m3fn)
        elif scale == 0:
            scale = np.uint8(1).view(ml_dtypes.float8_e4m3fn)
        ratio = x / (scale.astype(f32) * tensor_scale)
        codes = np.clip(ratio, -6, 6).astype(ml_dtypes.float4_e2m1fn).view(np.uint8)
        codes = np.where(bits(x) == 0x80000000, 0, codes)
        yield bits(tensor_scale), scale.view(np.uint8), codes[::2] | codes[1::2] << 4, bits(x)


def main():
    random = np.random.default_rng(1)
    FOLDER.mkdir(exist_ok=True)
    with open(FOLDER / "casts.txt", "w") as file:
        for name, value, code in casts(random):
            file.write(f"{name} {value:08x} {code:x}\n")
    with open(FOLDER / "values.txt", "w") as file:
        for name, count in CODES.items():
            dtype = ELEMENTS.get(name, ml_dtypes.float8_e8m0fnu)
            for code in range(count):
                value = np.uint8(code).view(dtype).astype(np.float32)
                file.write(f"{name} {code:x} {bits(value):08x}\n")
    with open(FOLDER / "nvfp4.txt", "w") as file:
        for tensor_scale, scale, packed, values in blocks(random):
            row = " ".join(f"{value:08x}" for value in values)
            file.write(f"{tensor_scale:08x} {scale:02x} {bytes(packed).hex()} {row}\n")


if __name__ == "__main__":
    main()
