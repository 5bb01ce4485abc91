"""Decodes a packed export (NVFP4, integers of compressed-tensors, NF4 of bitsandbytes) with nothing but safetensors,
numpy and ml_dtypes, and compares every tensor with the dense twin.

    decode_with_numpy.py PACKED DENSE      prints how many tensors agree; exit status 1 at the first that does not
"""

import glob
import json
import struct
import sys

import ml_dtypes
import numpy as np
from safetensors import safe_open

DTYPES = {"BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn}  # those that numpy lacks
E2M1 = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float32)


def read(folder):
    """Tensors by name; what numpy has no type for comes as float32."""
    tensors = {}
    for path in sorted(glob.glob(folder + "/*.safetensors")):
        with safe_open(path, framework="numpy") as file, open(path, "rb") as raw:
            size = struct.unpack("<Q", raw.read(8))[0]
            header = json.loads(raw.read(size))
            assert set(file.keys()) == set(header) - {"__metadata__"}
            for name in file.keys():
                info = header[name]
                if info["dtype"] in DTYPES:
                    raw.seek(8 + size + info["data_offsets"][0])
                    data = raw.read(info["data_offsets"][1] - info["data_offsets"][0])
                    tensors[name] = np.frombuffer(data, DTYPES[info["dtype"]]).astype(np.float32).reshape(info["shape"])
                else:
                    tensors[name] = file.get_tensor(name)
    return tensors


def decode(codes, block_scale, tensor_scale):
    pairs = np.stack([codes & 15, codes >> 4], axis=-1).reshape(codes.shape[0], -1)  # even column: low nibble
    return E2M1[pairs] * np.repeat(block_scale * np.float32(tensor_scale), 16, axis=1)


def decode_integers(words, scale, shape):
    bits = 4 if words.shape[1] * 8 == shape[1] else 8
    codes = words.view(np.uint8)
    codes = np.stack([codes & 15, codes >> 4], axis=-1).reshape(codes.shape[0], -1) if bits == 4 else codes
    values = codes[:, : shape[1]].astype(np.float32) - 2 ** (bits - 1)  # stored with half of the range added
    return values * np.repeat(scale, shape[1] // scale.shape[1], axis=1)


def decode_nf4(codes, absmax, values, state):
    state = json.loads(state.tobytes())
    pairs = np.stack([codes >> 4, codes & 15], axis=-1).reshape(-1)  # even column: high nibble
    blocks = values[pairs].reshape(-1, state["blocksize"]) * absmax[:, None]
    return blocks.reshape(state["shape"])


def weights(folder):
    """All weights as a forward uses them, whichever of the layouts the folder has."""
    tensors, result = read(folder), {}
    for name, value in tensors.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight_packed" and value.dtype == np.int32:
            shape = tensors[layer + ".weight_shape"]
            result[layer + ".weight"] = decode_integers(value, tensors[layer + ".weight_scale"], shape)
        elif kind == "weight" and name + ".absmax" in tensors:
            state = tensors[name + ".quant_state.bitsandbytes__nf4"]
            result[name] = decode_nf4(value, tensors[name + ".absmax"], tensors[name + ".quant_map"], state)
        elif kind == "weight_packed":
            scale = 1 / tensors[layer + ".weight_global_scale"][0]
            result[layer + ".weight"] = decode(value, tensors[layer + ".weight_scale"], scale)
        elif kind == "weight" and value.dtype == np.uint8:
            scale = tensors[layer + ".weight_scale_2"]
            result[name] = decode(value, tensors[layer + ".weight_scale"], scale)
        elif kind in ("weight", "bias"):
            result[name] = value
    return result


def main(packed, dense):
    ours, twin = weights(packed), weights(dense)
    if set(ours) != set(twin):
        sys.exit(f"different names: {sorted(set(ours) ^ set(twin))}")
    for name in sorted(twin):
        a, b = ours[name].astype(np.float32), twin[name].astype(np.float32)
        if a.shape != b.shape or not np.array_equal(a.view(np.uint32), b.view(np.uint32)):
            sys.exit(f"{name} differs")
    codes = sum(v.dtype in (np.uint8, np.int32) and v.ndim == 2 for v in read(packed).values())
    print(f"{len(twin)} tensors agree, {codes} of them from codes")


if __name__ == "__main__":
    main(*sys.argv[1:])
