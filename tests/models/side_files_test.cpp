// Which files of a model's folder go along with weights that are written anew.
#include "models/import/side_files.h"

#include <gtest/gtest.h>

#include <set>

#include "autograd/base/atomic_file.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

std::set<std::string> files_below(const fs::path& folder) {
  std::set<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.insert(fs::relative(entry.path(), folder).generic_string());
  return files;
}

TEST(SideFiles, GoAlongByKind) {
  const std::set<std::string> wanted = {"tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer.bin",
                                        "vocab.txt",
                                        "qwen.tiktoken",
                                        "added_tokens.json",
                                        "generation_config.json",
                                        "preprocessor_config.json",
                                        "processor_config.json",
                                        "video_preprocessor_config.json",
                                        "something_new.json",
                                        "chat_template.json",
                                        "chat_template.jinja",
                                        "additional_chat_templates/tool_use.jinja",
                                        "modeling_tiny.py",
                                        "LICENSE",
                                        "USE_POLICY.md",
                                        "custom_generate/generate.py",
                                        "cache_kernels_256.cu",
                                        "custom_generate/requirements.txt",
                                        "tiny_code/__init__.py",
                                        "tiny_code/ops/scan.py",
                                        "1_Pooling/config.json",
                                        "image_processor/preprocessor_config.json",
                                        "text_tokenizer/tokenizer.json"};
  const testing::TemporaryFolder from, to, elsewhere;
  for (const std::string& name : wanted) write_file_atomically(from / name, "content of " + name);
  for (const char* name : {"config.json",
                           "hf_quant_config.json",
                           "quantize_config.json",
                           "model.safetensors",
                           "model.safetensors.index.json",
                           "pytorch_model.bin",
                           "pytorch_model.bin.index.json",
                           "optimizer.pt",
                           "model.gguf",
                           "training_args.bin",
                           "README.md",
                           "stories.jsonl",
                           ".gitattributes",
                           ".hidden.json",
                           ".git/config.json",
                           ".cache/huggingface/x.json",
                           "checkpoint-10/tokenizer.json",
                           "original/params.json",
                           "original/consolidated.00.pth",
                           "model-q4.gguf/part.txt",
                           "other_quant.index.json/part.json",
                           "other.safetensors/code.py",
                           "draft/config.json",
                           "draft/model.safetensors",
                           "run/recipe.yaml",
                           "run/log.txt",
                           "runs/events.out.tfevents.1",
                           "tiny_code/__pycache__/x.py",
                           "tiny_code/.hidden/x.py",
                           "additional_chat_templates/notes.md",
                           "qad_export.json"})
    write_file_atomically(from / name, "left behind");
  copy_side_files(from.path(), to.path());
  EXPECT_EQ(files_below(to.path()), wanted);
  for (const std::string& name : wanted) EXPECT_EQ(read_file(to / name, ""), "content of " + name);
}

TEST(SideFiles, LinksCountAsWhatTheyLeadTo) {
  const testing::TemporaryFolder from, to, blobs;  // as the cache of Hugging Face's hub has it
  write_file_atomically(blobs / "5f3e", "{}");
  write_file_atomically(blobs / "templates/a.jinja", "A");
  fs::create_symlink(blobs / "5f3e", from / "tokenizer.json");
  fs::create_symlink(blobs / "absent", from / "vocab.json");
  fs::create_directory_symlink(blobs / "templates", from / "additional_chat_templates");
  fs::create_directory_symlink(blobs.path(), from / "folder.json");
  copy_side_files(from.path(), to.path());
  EXPECT_EQ(files_below(to.path()), (std::set<std::string>{"tokenizer.json", "additional_chat_templates/a.jinja",
                                                           "folder.json/templates/a.jinja"}));
  EXPECT_FALSE(fs::is_symlink(to / "tokenizer.json"));
}

TEST(SideFiles, FoldersWithoutEndStay) {
  const testing::TemporaryFolder from, to;
  write_file_atomically(from / "tokenizer.json", "{}");
  write_file_atomically(from / "round/a.py", "a");
  fs::create_directory_symlink(from.path(), from / "round/again");   // which leads to itself
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h"})  // without a file, in 8^8 ways
    write_file_atomically(from / "knot/.hidden", ""), fs::create_directory_symlink(from / "knot", from / "knot" / name);
  for (int i = 0; i < 1001; ++i) write_file_atomically(from / ("many/" + std::to_string(i) + ".txt"), "");
  copy_side_files(from.path(), to.path());
  EXPECT_EQ(files_below(to.path()), (std::set<std::string>{"tokenizer.json"}));
}

TEST(SideFiles, ALargeOneStays) {
  const testing::TemporaryFolder from, to;
  write_file_atomically(from / "tokenizer.json", "{}");
  write_file_atomically(from / "data.json", "{}");
  fs::resize_file(from / "data.json", (std::uintmax_t{64} << 20) + 1);
  for (const char* name : {"texts/a.json", "texts/b.json"}) {
    write_file_atomically(from / name, "{}");
    fs::resize_file(from / name, std::uintmax_t{40} << 20);
  }
  copy_side_files(from.path(), to.path());
  EXPECT_EQ(files_below(to.path()), std::set<std::string>{"tokenizer.json"});
}

}  // namespace
}  // namespace qad
