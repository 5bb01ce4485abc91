// What a run was given from outside, as hashes in its checkpoints: a run that goes on with another text or another
// teacher than it began with would look like one run and be two.
#pragma once

#include <map>
#include <string>

#include "data/tokenizer/tokenizer.h"
#include "models/language_model.h"
#include "qad/checkpoint/checkpoint.h"

namespace qad {

/// A hash for each name: "teacher", "config.json of the teacher", or a place in the recipe such as "data.train".
using RunInputs = std::map<std::string, std::string>;

/// Of a model's values, whatever files they came from: XXH3-128 over names, types and bytes, 32 hexadecimal digits.
[[nodiscard]] std::string fingerprint(LanguageModel& model);

/// Of a config: a hash over the fields that are not as ModelConfig has them where nothing is said.
[[nodiscard]] std::string fingerprint(const ModelConfig& config);

/// Of a tokenizer: over its ids and tokens.
[[nodiscard]] std::string fingerprint(const Tokenizer& tokenizer);

/// A model's values under its name, and its config as "config.json of the NAME".
void add_model(const std::string& name, LanguageModel& model, RunInputs& inputs);
void add_config(const std::string& name, const ModelConfig& config, RunInputs& inputs);

void add_inputs(const RunInputs& inputs, CheckpointContent& content);
/// What add_inputs put there.
[[nodiscard]] RunInputs inputs_of(const CheckpointContent& content);
/// Throws Error, naming the checkpoint `file` and what has changed, unless all of the inputs that it knows of and that
/// are there now are the same. One of an older program knows of none.
void check_inputs(const RunInputs& inputs, const CheckpointContent& content, const std::string& file);

}  // namespace qad
