"""Opens a GGUF export with PyPI's gguf and compares every tensor with the dense twin: names as that package maps them,
NVFP4 as it decodes it, bit for bit but for the sign of zero (its table has one zero).

    compare_gguf.py FOLDER DENSE      prints how many tensors agree; exit status 1 at the first that does not
"""

import re
import sys

import gguf
import numpy as np
from decode_with_numpy import weights


def hub_order(rows, heads):
    """Rows of q or k as Hugging Face has them: llama.cpp's llama turns neighbours, Hugging Face the two halves."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def main(folder, dense):
    reader = gguf.GGUFReader(folder + "/model.gguf")
    field = lambda key: reader.fields[key].contents()
    arch = field("general.architecture")
    heads = {"q_proj": field(arch + ".attention.head_count"), "k_proj": field(arch + ".attention.head_count_kv")}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], field(arch + ".block_count"))
    stored = {tensor.name: tensor for tensor in reader.tensors}
    nvfp4, used = 0, set()
    for hub_name, twin in weights(dense).items():
        expert = re.fullmatch(r"(.*\.experts)\.(\d+)\.(.*)", hub_name)  # those of a layer are one tensor
        number = int(expert[2]) if expert else 0
        tensor = stored[names.get_name(f"{expert[1]}.{expert[3]}" if expert else hub_name, try_suffixes=(".weight", ".bias"))]
        data = tensor.data[number] if expert else tensor.data
        value = gguf.dequantize(data, tensor.tensor_type).reshape(twin.shape)
        used.add(tensor.name)
        if tensor.tensor_type == gguf.GGMLQuantizationType.NVFP4:
            nvfp4 += 1
            value = value * stored[tensor.name.replace(".weight", ".scale")].data[number]
            used |= {tensor.name.replace(".weight", ".scale"), tensor.name.replace(".weight", ".input_scale")}
        module = hub_name.split(".")[-2]
        if arch == "llama" and module in heads:
            value = hub_order(value, heads[module])
        if not np.array_equal(value.view(np.uint32) & (value != 0) * np.uint32(0xFFFFFFFF),
                              twin.astype(np.float32).view(np.uint32) & (twin != 0) * np.uint32(0xFFFFFFFF)):
            sys.exit(f"{tensor.name} is not {hub_name}")
    if set(stored) - used:
        sys.exit(f"left over: {sorted(set(stored) - used)}")
    print(f"{len(weights(dense))} tensors agree, {nvfp4} of them in NVFP4")


if __name__ == "__main__":
    main(*sys.argv[1:])
