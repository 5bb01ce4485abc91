#include "qad/verbs/import.h"

#include <ostream>
#include <system_error>

#include "autograd/core/atomic_file.h"
#include "data/tokenizer.h"
#include "models/llama/llama2c.h"
#include "models/model_folder.h"
#include "qad/report/format.h"

namespace qad::verbs {
namespace fs = std::filesystem;
namespace {

void check_is_free(const fs::path& folder) {
  if (!fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder))) return;
  throw Error({folder.string(), "a new or empty folder", "something there already", "choose another --out"},
              ExitCode::usage);
}

/// `out`, written as a whole beside its place.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& out) : out_(fs::absolute(out / "").lexically_normal().parent_path()) {
    partial_ = out_.parent_path() / ("." + out_.filename().string() + ".partial");
    fs::remove_all(partial_);  // of an import that was killed
    create_folders(partial_);
  }
  ~NewFolder() {
    std::error_code ignored;
    fs::remove_all(partial_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  [[nodiscard]] const fs::path& path() const { return partial_; }
  void put_in_place() {
    sync_path(partial_);
    std::error_code error;
    fs::rename(partial_, out_, error);  // an empty folder may stand there
    if (error) throw Error({out_.string(), "a folder that can be put in place", error.message(), ""});
    sync_path(out_.parent_path());
  }

 private:
  fs::path out_, partial_;
};

}  // namespace

ExitCode import_model(const ImportOptions& options, std::ostream& print) {
  if (options.format != "llama2c") throw Error({"FORMAT", "llama2c", "'" + options.format + "'", ""}, ExitCode::usage);
  check_is_free(options.out);
  const std::unique_ptr<LanguageModel> model = load_llama2c(options.model);
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(options.tokenizer);
  check_vocabulary(*tokenizer, model->config().vocab_size, options.model.string());

  NewFolder folder(options.out);
  save_model(folder.path(), *model, DType::f32);
  tokenizer->save(folder.path());
  folder.put_in_place();
  print << options.out.string() << ": " << format_count(static_cast<double>(parameter_count(*model)))
        << " parameters, F32\n";
  return ExitCode::done;
}

}  // namespace qad::verbs
