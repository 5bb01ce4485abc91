// A model whose weights stay in its files until somebody asks for them: for work that goes through a model part by part
// and has no room for all of it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "models/import/stored_weights.h"
#include "models/language_model.h"

namespace qad {

class StreamedModel {
 public:
  /// Reads headers alone, and throws what load_model(folder, type) would, its looks at values apart.
  StreamedModel(const std::filesystem::path& folder, WeightType type);

  /// Its parameters have names, shapes and slots; values only while they are loaded.
  [[nodiscard]] LanguageModel& model() { return *model_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  enum class As : std::uint8_t {
    loaded,  ///< as load_model has them: where the type is that of the file, the file's own pages
    masters  ///< as trainable_copy of that has them: FP32, to be written to
  };
  /// Throws for values that load_model would not take, and for a file that has been cut off since it was opened.
  void load(Parameter& parameter, As as);
  /// As load, of a value that another StreamedModel of the same folder has loaded.
  void lend(Parameter& parameter, const Tensor& value);
  void unload(Parameter& parameter);
  /// The same but for the file's pages, which stay in memory for whom the value was lent to, until forget().
  void let_go(Parameter& parameter);
  void forget(const Parameter& parameter) const;
  [[nodiscard]] bool is_loaded(const Parameter& parameter) const { return loaded_.contains(parameter.name); }
  /// Has the system read ahead.
  void ask_for(const Parameter& parameter) const;
  /// A hash of the files' sizes, times and headers, and of samples of their values: the same as long as nobody touches
  /// the files. A copy's is another, since its values would have to be read to know them.
  [[nodiscard]] std::string fingerprint() const;
  /// In the files.
  [[nodiscard]] std::uint64_t stored_bytes(const Parameter& parameter) const;

 private:
  struct Stored {
    ParameterSpec spec;
    std::span<const std::byte> bytes;
  };
  [[nodiscard]] const Stored& stored(const Parameter& parameter) const { return stored_.at(parameter.name); }

  std::filesystem::path folder_;
  ModelConfig config_;
  WeightType type_;
  StoredWeights weights_;
  std::map<std::string, Stored> stored_;
  std::set<std::string> loaded_;
  std::unique_ptr<LanguageModel> model_;
};

}  // namespace qad
