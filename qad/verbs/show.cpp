#include "qad/verbs/show.h"

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/profile.h"
#include "qad/report/comparison_table.h"
#include "qad/report/profile_table.h"
#include "qad/report/routing_table.h"
#include "qad/report/search_table.h"
#include "qad/report/table.h"
#include "qad/run/run_lock.h"
#include "qad/run/shared_run.h"
#include "qad/train/events.h"

namespace qad::verbs {

void show_run(const RunFolder& folder, const RunSummary& summary, std::ostream& print) {
  const std::vector<ArmSummary> rows = rows_of(summary), shown = with_untrained_rows(rows);
  print << comparison_table(shown).text() << "\n";
  if (const Table routing = routing_table(shown); !routing.rows().empty()) print << routing.text() << "\n";
  if (const Table searched = search_table(summary); !searched.rows().empty())
    print << searched.text() << "\n" << search_curve_table(summary).text() << "\n";
  if (const std::string note = token_note(rows); !note.empty()) print << note << "\n\n";
  if (const Table tried = candidates_table(rows); !tried.rows().empty())
    print << "learning rates tried\n\n" << tried.text() << "\n";
  for (const std::string& warning : warnings_of(rows)) print << warning << "\n\n";
  if (const auto problems = problem_rows(rows); !problem_note(problems).empty())
    print << problem_note(problems) << "\n\n" << problem_table(problems).text() << "\n";
  print << "run     " << folder.path.string() << "\n";
  print << "report  " << folder.report().string() << "\n";
  if (!summary.searched.empty()) print << "recipe  " << folder.quantize().string() << "\n";
  for (const ExportSummary& exported : summary.exports)
    print << "export  " << (folder.path / exported.folder).string() << "\n";
  for (const ArmSummary& row : rows)
    if (row.end == enum_name(RunEnd::diverged))
      throw Error({.who = row.name,
                   .expected = "training that comes to its end",
                   .got = "divergence: " + row.reason,
                   .hint = "lower train.lr"});
}

ExitCode show_run_of(const RunFolder& folder, const std::function<RunSummary()>& work, std::ostream& print) {
  try {
    show_run(folder, work(), print);
    return ExitCode::done;
  } catch (const Stopped&) {
    print << "interrupted, what is done is saved; go on with: qad resume " << folder.path.string() << "\n";
    return ExitCode::interrupted;
  }
}

ExitCode show_new_run(const Recipe& recipe, const std::filesystem::path& out,
                      const std::function<RunSummary(const RunFolder&)>& work, std::ostream& print) {
  check_one_run(recipe, out);
  set_threads_of_rank(recipe.threads);
  std::optional<RunLock> lock;
  first_does([&] {
    check_new_run_folder(out);  // before a lock is put there
    lock.emplace(out);
  });
  const auto logged = [&](const RunFolder& folder) {
    begin_log(folder);
    return work(folder);
  };
  return show_run_of(
      {out}, [&] { return in_new_run_folder(out, recipe, logged); }, print);
}

ExitCode with_profile(bool profile, std::ostream& print, const std::function<ExitCode()>& work) {
  if (!profile) return work();
  const Profiler profiler;
  const ExitCode code = work();
  print << "\n" << profile_text(profiler);
  return code;
}

}  // namespace qad::verbs
