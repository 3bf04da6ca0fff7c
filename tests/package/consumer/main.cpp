// A user's program: it sees <ps/...> only, and fails when the library it was linked with does not
// work.
#include <cstdio>
#include <cstring>

#include <ps/error.h>

int main() {
  try {
    throw ps::Error(ps::ErrorCode::kTimeout, "no reply");
  } catch (const ps::Error& error) {
    std::printf("%s: %s\n", to_string(error.code()), error.what());
    return std::strcmp(to_string(error.code()), "timeout") == 0 ? 0 : 1;
  }
}
