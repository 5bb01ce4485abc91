// What `qad inspect --json` says: one object with "what" it is (checkpoint, safetensors, gguf, model, run, recipe), its
// "path", and what is in it. Tensors are listed one by one: "tensors": [{"name", "dtype", "shape", "bytes"}].
//
//     checkpoint   "program", "texts": {…}, "numbers": {…}, "tensors"
//     safetensors  "metadata": {…}, "tensors"
//     gguf         "metadata": {…}, "tensors"; a list of the metadata is {"values": how many}
//     model        "files" (as the export wrote them), "config": {…}, "parameters", "bits_per_weight",
//                  "quantized_layers": [{"name", "shape", "weights", "inputs", "bits_per_weight"}], "usable",
//                  "refusal", "tensors"
//     recipe       "kind" (null for a part to import), "teacher", "student", "steps", "exports", "arms"
//     run          the same of its recipe; "finished"; "summary": summary.json; "checkpoints" and "exports": [{"name",
//                  "path", "bytes", "state"}], the state being whole, not whole or damaged
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "qad/run/run_folder.h"

namespace qad {

[[nodiscard]] nlohmann::ordered_json checkpoint_json(const std::filesystem::path& file);
[[nodiscard]] nlohmann::ordered_json safetensors_json(const std::filesystem::path& file);
[[nodiscard]] nlohmann::ordered_json gguf_json(const std::filesystem::path& file);
[[nodiscard]] nlohmann::ordered_json recipe_json(const std::filesystem::path& file);
/// `refusal`: why qad can't use the model; empty if it can.
[[nodiscard]] nlohmann::ordered_json model_json(const std::filesystem::path& folder, std::string& refusal);
/// `damage`: what is wrong with the first damaged file; empty if none is.
[[nodiscard]] nlohmann::ordered_json run_json(const RunFolder& folder, std::string& damage);

}  // namespace qad
