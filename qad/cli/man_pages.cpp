#include "qad/cli/man_pages.h"

#include <fmt/format.h>

#include <cctype>
#include <string_view>

#include "autograd/base/version.h"

namespace qad::cli {
namespace {

// Text as troff reads it back: no request at a line's start, hyphens that can be copied.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else if (c == '\n') out += ' ';
    else out += c;
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string bold(std::string_view text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + roff(text) + "\\fR"; }

std::string item(const std::string& tag, std::string_view text) { return ".TP\n" + tag + "\n" + roff(text) + "\n"; }

std::string heading(std::string_view name) {
  std::string upper;
  for (const char c : name) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return fmt::format(".TH \"{}\" 1 \"\" \"qad {}\" \"qad manual\"\n.SH NAME\n", roff(upper), kVersion);
}

// Lower at its start and without its full stop, as after a dash.
std::string after_dash(std::string summary) {
  if (!summary.empty()) summary[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(summary[0])));
  if (summary.ends_with('.')) summary.pop_back();
  return roff(summary);
}

std::string tag_of(const OptionDescription& option) {
  std::string tag = option.letter == '\0' ? "" : bold(fmt::format("-{}", option.letter)) + ", ";
  tag += bold("--" + option.name);
  return option.value_name.empty() ? tag : tag + " " + italic(option.value_name);
}

constexpr std::string_view kExitStatus = R"(.SH EXIT STATUS
.TP
0
done
.TP
1
failed
.TP
2
bad usage or recipe
.TP
3
stopped by a signal, with all that was done saved
)";

constexpr std::string_view kEnvironment = R"(.SH ENVIRONMENT
.TP
\fBQAD_RECIPES\fR
the folder of recipes. Without it they are looked for in \fIrecipes\fR and \fIshare/qad/recipes\fR beside the program
and in every folder above it, and then where qad was installed.
.TP
\fBNO_COLOR\fR, \fBCLICOLOR=0\fR, \fBTERM=dumb\fR
each of them, like a standard error that is no terminal, keeps escape codes out of all that is written.
\fBCLICOLOR_FORCE\fR has log lines coloured where there is no terminal, too.
.TP
\fBONEDNN_MAX_CPU_ISA\fR, \fBQAD_SIMD\fR
the newest instructions to use, for the same bits on another CPU.
)";

constexpr std::string_view kExamples = R"(.SH EXAMPLES
.TP
\fBqad compare paper/quick \-\-out quick\fR
PTQ, QAT and QAD on the teacher that comes along, in a few minutes.
.TP
\fBqad run my.yaml train.lr=1e\-4 \-\-out run\fR
a recipe of one's own with one key changed.
)";

}  // namespace

std::string man_page(const VerbDescription& verb) {
  std::string page = heading("qad-" + verb.name);
  page += fmt::format("{} \\- {}\n", roff("qad-" + verb.name), after_dash(verb.summary));
  page += fmt::format(".SH SYNOPSIS\n{} [options]\n.SH DESCRIPTION\n{}\n", roff(verb.synopsis()), roff(verb.summary));
  if (!verb.arguments.empty()) page += ".SH ARGUMENTS\n";
  for (const ArgumentDescription& argument : verb.arguments) page += item(italic(argument.name), argument.help);
  page += ".SH OPTIONS\n";
  for (const OptionDescription& option : verb.options)
    page += item(tag_of(option), option.help + (option.is_required ? " (must be given)" : ""));
  return page + std::string(kExitStatus) + ".SH SEE ALSO\n.BR qad (1)\n";
}

std::string main_man_page(const std::vector<VerbDescription>& verbs) {
  std::string page = heading("qad");
  page += "qad \\- quantization\\-aware distillation of language models\n";
  page +=
      ".SH SYNOPSIS\n\\fBqad\\fR \\fIVERB\\fR ...\n.br\n\\fBqad help\\fR [\\fIVERB\\fR]\n.br\n\\fBqad version\\fR\n"
      ".SH DESCRIPTION\nA language model goes to four bits and keeps what it was taught: a student with quantizers "
      "learns to match its own frozen BF16 teacher. YAML recipes say all there is to say about a run.\n.SH VERBS\n";
  for (const VerbDescription& verb : verbs) page += item(bold(verb.name), verb.summary);
  page += kEnvironment;
  page += kExitStatus;
  page += kExamples;
  page += ".SH SEE ALSO\n";
  for (std::size_t i = 0; i < verbs.size(); ++i)
    page += fmt::format(".BR {} (1){}\n", roff("qad-" + verbs[i].name), i + 1 < verbs.size() ? "," : "");
  return page;
}

}  // namespace qad::cli
