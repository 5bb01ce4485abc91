#include "data/jinja/token_stream.h"

#include <fmt/format.h>

#include "autograd/base/error.h"
#include "data/jinja/failure.h"

namespace qad::jinja {

void TokenStream::expect_op(std::string_view op) {
  if (!skip_op(op)) fail(fmt::format("'{}'", op));
}

void TokenStream::expect_name(std::string_view name) {
  if (!skip_name(name)) fail(fmt::format("'{}'", name));
}

Token TokenStream::expect(TokenKind kind, std::string_view what) {
  if (!is(kind)) fail(what);
  return take();
}

void TokenStream::fail(std::string_view expected, std::string_view hint) const {
  fail_at(now().line, expected, is(TokenKind::end) ? "the template's end" : fmt::format("'{}'", now().text), hint);
}

void TokenStream::fail_at(int line, std::string_view expected, std::string_view got, std::string_view hint) const {
  throw Error({.who = fmt::format("{}:{}", who_, line),
               .expected = std::string(expected),
               .got = one_line(got),
               .hint = std::string(hint)});
}

}  // namespace qad::jinja
