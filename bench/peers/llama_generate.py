"""What llama.cpp (PyPI's xllamacpp) makes of the measure of bench_generate open: a JSON line.

    python bench/peers/llama_generate.py FILE.gguf [rounds [threads]]
"""
import json
import random
import socket
import statistics
import sys
from urllib.request import Request, urlopen

import xllamacpp

PROMPT, TOKENS = 512, 48


def main():
    file, rounds, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    parameters = xllamacpp.CommonParams()
    parameters.model.path = file
    parameters.n_ctx, parameters.n_parallel, parameters.verbosity = 1024, 1, 0
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        parameters.port = free.getsockname()[1]
    server = xllamacpp.Server(parameters)
    generator = random.Random(1)

    def ask(prompt, count):
        question = json.dumps({"prompt": prompt, "n_predict": count, "temperature": 0.0, "ignore_eos": True,
                               "cache_prompt": False}).encode()
        request = Request(server.listening_address + "/completion", question, {"Content-Type": "application/json"})
        with urlopen(request) as answer:
            return json.load(answer)["timings"]

    prompts, tokens = [], []
    ask([1, 2, 3], 2)
    for _ in range(rounds):
        ids = [generator.randrange(50000) for _ in range(PROMPT)]
        prompts.append(ask(ids, 1)["prompt_per_second"])
        tokens.append(ask(ids[:16], TOKENS)["predicted_per_second"])
    print(json.dumps({"folder": file, "threads": threads, "prompt_tokens_per_second": statistics.median(prompts),
                      "tokens_per_second": statistics.median(tokens)}), flush=True)


main()
