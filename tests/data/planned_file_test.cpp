// Files whose tensors are written in any order are those that are written at once.
#include "data/files/planned_file.h"

#include <gtest/gtest.h>

#include "autograd/base/atomic_file.h"
#include "data/files/gguf.h"
#include "data/files/safetensors.h"
#include "data/files/safetensors_writer.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

TEST(PlannedFile, InPiecesItHasTheSameBytes) {
  const testing::TemporaryFolder folder;
  const Tensor a = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}), b = a.to(DType::bf16);
  const std::vector<SafetensorsEntry> entries = {safetensors_entry("x.b", b), safetensors_entry("y.a", a)};
  write_safetensors_folder(folder / "whole", entries, 20);

  const std::vector<SafetensorsSpec> specs = {{"x.b", "BF16", {2, 3}}, {"y.a", "F32", {2, 3}}};
  const SafetensorsFolderPlan plan = plan_safetensors_folder(specs, 20, "plan");
  ASSERT_EQ(plan.files.size(), 2u);
  std::filesystem::create_directories(folder / "pieces");
  for (auto file = plan.files.rbegin(); file != plan.files.rend(); ++file) {
    { const PlannedFileWriter begun(folder / "pieces", *file); }  // and goes on
    const PlannedFileWriter writer(folder / "pieces", *file);
    for (const PlannedTensor& tensor : file->tensors)
      writer.put(tensor, tensor.name == "x.b" ? entries[0].bytes : entries[1].bytes);
    writer.finish(file->header);
  }
  for (const PlannedFile& file : plan.files)
    EXPECT_EQ(read_file(folder / "pieces" / file.name, ""), read_file(folder / "whole" / file.name, "")) << file.name;
  EXPECT_EQ(plan.index, read_file(folder / "whole" / kSafetensorsIndex, ""));
}

TEST(PlannedFile, OfGgufToo) {
  const testing::TemporaryFolder folder;
  const Tensor a = Tensor::from(std::vector<float>{1, 2, 3}, {3});
  const std::span<const std::byte> bytes = {a.raw(), a.bytes()};
  const GgufMetadata metadata = {{"general.architecture", std::string("llama")}};
  const GgufType* const type = &gguf_type("F32");
  std::filesystem::create_directories(folder / "pieces");
  write_gguf(folder / "model.gguf", metadata, {{"a", type, {3}, bytes}, {"b", type, {3}, bytes}});
  const PlannedFile plan = plan_gguf(folder / "model.gguf", metadata, {{"a", type, {3}}, {"b", type, {3}}});
  const PlannedFileWriter writer(folder / "pieces", plan);
  writer.put(plan.tensors[1], bytes);
  writer.put(plan.tensors[0], bytes);
  writer.finish(plan.header);
  EXPECT_EQ(read_file(folder / "pieces" / "model.gguf", ""), read_file(folder / "model.gguf", ""));
}

}  // namespace
}  // namespace qad
