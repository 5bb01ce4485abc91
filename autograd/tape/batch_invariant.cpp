#include "autograd/tape/batch_invariant.h"

namespace qad {
namespace {

thread_local bool invariant = false;

}  // namespace

BatchInvariantScope::BatchInvariantScope() : previous_(invariant) { invariant = true; }
BatchInvariantScope::~BatchInvariantScope() { invariant = previous_; }
bool batch_invariant() { return invariant; }

}  // namespace qad
