#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "text/tokenizer.h"

namespace {

// A folder of this process that goes with it.
struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("omni-tokenizer-fuzz-" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

// libFuzzer: any tokenizer.json loads and then encodes text, or is an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder folder;
  try {
    omni::write_file_whole(folder.path / "tokenizer.json", {reinterpret_cast<const char*>(data), size});
    const omni::Tokenizer tokenizer = omni::Tokenizer::load(folder.path);
    (void)tokenizer.encode("Ein  K\xc3\xa4se, 42!\n\xf0\x9f\xa6\x80", 64, omni::PadTo::kNothing);
  } catch (const omni::Error&) {
  }
  return 0;
}
