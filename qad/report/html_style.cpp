#include "qad/report/html_style.h"

#include <fmt/format.h>

#include <string_view>

namespace qad {
namespace {

constexpr std::string_view kPage = R"(
:root { color-scheme: light dark; --ink: #1f2328; --soft: #656d76; --line: #d8dee4; --page: #ffffff; --panel: #f6f8fa;
  --shade: rgba(31, 35, 40, .28);
  --c0: #57606a; --c1: #2f6fde; --c2: #c77700; --c3: #0f8a6c; --c4: #c2385a; --c5: #7c4dbd;
  --c6: #0e8aa8; --c7: #8f6b3a; --c8: #b0399e; --c9: #5c8a1e; --c10: #d2491f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #8d96a0; --line: #30363d; --page: #0d1117; --panel: #161b22;
    --shade: rgba(200, 210, 220, .35);
    --c0: #9aa4af; --c1: #6ea8fe; --c2: #e8a33d; --c3: #3fbf9b; --c4: #f07792; --c5: #b596f0;
    --c6: #56c5de; --c7: #c8a26a; --c8: #e27ad6; --c9: #a3c95a; --c10: #ff8a65; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 2.5rem 1.25rem 3rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; font-weight: 650; }
h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; font-weight: 650; }
p { margin: .2rem 0; }
.warning { color: var(--c4); font-weight: 550; margin-top: .6rem; }
.status { background: var(--panel); border: 1px solid var(--line); border-left: 4px solid var(--c2); border-radius: 6px;
  padding: .6rem .9rem; margin: .8rem 0; }
.status b { font-weight: 650; }
.facts, footer { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; background:
  linear-gradient(to right, var(--page) 30%, transparent) left / 2.5rem 100% no-repeat local,
  linear-gradient(to left, var(--page) 30%, transparent) right / 2.5rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / .8rem 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) right / .8rem 100% no-repeat scroll; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .45rem; vertical-align: top; border-bottom: 1px solid var(--line); }
.cards-980 { font-size: .8rem; }
.cards-980 th, .cards-980 td { padding-left: .25rem; padding-right: .25rem; }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-weight: 500; vertical-align: bottom; overflow-wrap: normal; }
tbody th { font-weight: 550; min-width: 6rem; max-width: 16rem; }
td.right { white-space: nowrap; }
td small { display: block; font-size: .86em; color: var(--soft); }
.left { text-align: left; } .right { text-align: right; }
tr.best td, tr.best th { font-weight: 700; }
tr.best small { font-weight: 400; }
.dot { display: inline-block; width: .65em; height: .65em; border-radius: 50%; background: currentColor; margin-right: .5em; }
)";

constexpr std::string_view kCharts = R"(
figure { margin: 1.6rem 0 0; }
figcaption { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; align-items: baseline; font-size: .85rem; }
figcaption b { font-weight: 650; margin-right: auto; }
.key::before { content: ""; display: inline-block; width: 1rem; border-top: 2px solid; vertical-align: middle;
  margin-right: .4rem; }
.key.dashed::before { border-top-style: dashed; }
.key span { color: var(--ink); }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
svg svg { overflow: hidden; }
.tick { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--line); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.c6 { color: var(--c6); } .c7 { color: var(--c7); } .c8 { color: var(--c8); } .c9 { color: var(--c9); } .c10 { color: var(--c10); }
.line, .faint, .level, .error { fill: none; stroke: currentColor; }
.line { stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.faint { stroke-width: 1; opacity: .28; }
.level { stroke-width: 1.5; stroke-dasharray: 5 4; }
.error { stroke-width: 1.2; }
.mark { fill: currentColor; stroke: var(--page); stroke-width: 1; }
details { margin-top: 2.2rem; }
summary { cursor: pointer; font-weight: 650; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .9rem 1rem; overflow-x: auto;
  font: .82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { margin-top: 2.2rem; border-top: 1px solid var(--line); padding-top: .8rem; }
)";

std::string card_rules(std::string_view name) {
  return fmt::format(R"(.{0} thead {{ display: none; }}
.{0} tr {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: .2rem .8rem;
  padding: .5rem 0; border-bottom: 1px solid var(--line); }}
.{0} th, .{0} td {{ display: block; padding: .1rem 0; border: 0; text-align: left; max-width: none; }}
.{0} th {{ grid-column: 1 / -1; }}
.{0} td:empty {{ display: none; }}
.{0} td::before {{ content: attr(data-title); display: block; white-space: normal; color: var(--soft);
  font-size: .86em; font-weight: 400; }}
)",
                     name);
}

}  // namespace

std::string report_style() {
  return fmt::format(
      "{}{}@media (max-width: 600px) {{\n.tick {{ font-size: 16px; }}\n{}}}\n@media (max-width: 980px) {{\n{}}}\n{}",
      kPage, kCharts, card_rules("cards-600"), card_rules("cards-980"), card_rules("cards"));
}

}  // namespace qad
