// A result, what a run says of itself, lists its fields once, as a config does (fields.h): by the names that files have
// for them. JSON, checkpoints and TensorBoard's figures follow from that list.
//
//     struct EvalFigures {
//       double kl_mean = 0.0;
//       static void visit_fields(auto& self, auto&& visit) { visit("kl_mean", self.kl_mean); }
//     };
#pragma once

#include <type_traits>

namespace qad {

/// Calls visit(name, value) for each field of a result, which may be const.
template <class Result, class Visit>
void visit_fields(Result& result, Visit&& visit) {
  std::remove_const_t<Result>::visit_fields(result, visit);
}

}  // namespace qad
