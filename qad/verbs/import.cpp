#include "qad/verbs/import.h"

#include <ostream>

#include "autograd/base/output_folder.h"
#include "data/tokenizer/tokenizer.h"
#include "models/import/llama2c.h"
#include "models/import/model_folder.h"
#include "qad/report/format.h"
#include "qad/run/run_lock.h"

namespace qad::verbs {

ExitCode import_model(const ImportOptions& options, std::ostream& print) {
  if (options.format != "llama2c")
    throw Error({.who = "FORMAT", .expected = "llama2c", .got = "'" + options.format + "'"}, ExitCode::usage);
  const RunLocks locks({}, options.out);
  OutputFolder folder(options.out);
  const std::unique_ptr<LanguageModel> model = load_llama2c(options.model);
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(options.tokenizer);
  check_vocabulary(*tokenizer, model->config().vocab_size, options.model.string());

  save_model(folder.path(), *model, DType::f32);
  tokenizer->save(folder.path());
  folder.put_in_place("config.json");
  print << options.out.string() << ": " << format_count(static_cast<double>(parameter_count(*model)))
        << " parameters, F32\n";
  return ExitCode::done;
}

}  // namespace qad::verbs
