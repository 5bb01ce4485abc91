#include "autograd/base/host_name.h"

#include <unistd.h>

#include <array>
#include <climits>

namespace qad {

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return ::gethostname(name.data(), HOST_NAME_MAX) == 0 ? name.data() : "localhost";
}

}  // namespace qad
