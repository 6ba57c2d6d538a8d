// The catalogue over folders made to look like those of other programs, good and hostile.
#include "store/catalogue.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "gguf/gguf_writer.h"
#include "store/adapters.h"
#include "store/places.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// What a made-up file says about itself.
struct Made {
  std::string architecture = "llama";
  tensor::DType type = tensor::DType::kQ8_0;
  std::string general_type = {};
  bool has_weights = true;
  std::uint32_t n_layers = 0;
  std::vector<std::string> tags = {};
};

class CatalogueTest : public testing::Test {
 protected:
  CatalogueTest() {
    options_.ollama = root_ / "ollama";
    options_.lm_studio = root_ / "lm-studio";
    options_.llama_cpp = root_ / "llama.cpp";
    options_.huggingface = root_ / "hub";
    options_.folders.push_back(root_ / "mine");
  }

  // A model file with one weight matrix and one norm.
  std::string model_bytes(const Made& made) const {
    gguf::GgufWriter writer;
    if (!made.architecture.empty()) writer.set_string("general.architecture", made.architecture);
    if (!made.general_type.empty()) writer.set_string("general.type", made.general_type);
    writer.set_u32(made.architecture + ".context_length", 4096);
    if (made.n_layers > 0) writer.set_u32(made.architecture + ".block_count", made.n_layers);
    if (!made.tags.empty()) writer.set_strings("general.tags", made.tags);
    if (made.has_weights) {
      const std::uint64_t matrix[] = {256, 8}, norm[] = {256};
      const auto zeros = [](std::span<std::byte> out) { std::ranges::fill(out, std::byte{0}); };
      writer.add_tensor("blk.0.attn_q.weight", made.type, matrix, zeros);
      writer.add_tensor("blk.0.attn_norm.weight", tensor::DType::kF32, norm, zeros);
    }
    return writer.to_bytes();
  }

  void write(const fs::path& path, std::string_view bytes) const {
    const auto written = write_file_atomic(path, bytes);
    ASSERT_TRUE(written) << written.error().message;
  }
  void write_model(const fs::path& path, const Made& made = {}) const {
    write(path, model_bytes(made));
  }

  static std::string digest(char digit) { return "sha256:" + std::string(64, digit); }

  void write_manifest(std::string_view below, const std::string& model_digest,
                      std::string_view more_layers = "") const {
    write(*options_.ollama / "manifests" / below, fmt::format(R"({{"schemaVersion":2,"layers":[
            {{"mediaType":"application/vnd.ollama.image.model","digest":"{}","size":1}}{}]}})",
                                                              model_digest, more_layers));
  }

  Catalogue scan() const { return Catalogue::scan(options_); }

  static std::vector<std::string> names(const Catalogue& catalogue) {
    std::vector<std::string> out;
    for (const auto& entry : catalogue.entries()) out.push_back(entry.name);
    return out;
  }

  std::string problem_of(std::string_view name) const {
    const Catalogue catalogue = scan();
    for (const auto& entry : catalogue.entries()) {
      if (entry.name == name) return entry.problem;
    }
    ADD_FAILURE() << "no entry '" << name << "'";
    return {};
  }

  TempFolder root_;
  CatalogueOptions options_;
};

TEST_F(CatalogueTest, NothingAnywhereIsAnEmptyCatalogue) {
  const Catalogue catalogue = scan();
  EXPECT_THAT(catalogue.entries(), IsEmpty());
  EXPECT_THAT(catalogue.notes(), IsEmpty());
  const auto found = catalogue.find("qwen3");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kNotFound);
}

TEST_F(CatalogueTest, FindsModelsWhereOtherProgramsKeepThem) {
  options_.embedded = root_ / "share" / "ember.gguf";
  write_model(*options_.embedded);
  write_model(root_ / "mine" / "sub" / "own.gguf");
  write_model(*options_.lm_studio / "org" / "repo" / "studio-Q8_0.gguf");
  write_model(*options_.llama_cpp / "org_repo_cpp.GGUF");
  write_manifest("registry.ollama.ai/library/qwen3/0.6b", digest('a'));
  write_manifest("registry.ollama.ai/someone/tuned/latest", digest('a'));
  write_manifest("hf.co/org/repo/Q8_0", digest('a'));
  write_model(*options_.ollama / "blobs" / ("sha256-" + std::string(64, 'a')));
  const fs::path repo = *options_.huggingface / "models--org--name";
  write_model(repo / "blobs" / "0123");
  fs::create_directories(repo / "snapshots" / "rev1");
  fs::create_symlink("../../blobs/0123", repo / "snapshots" / "rev1" / "hub-F16.gguf");

  const Catalogue catalogue = scan();
  EXPECT_THAT(names(catalogue),
              ElementsAre("ember", "hf.co/org/repo:Q8_0", "hub-F16", "org_repo_cpp", "own",
                          "qwen3:0.6b", "someone/tuned:latest", "studio-Q8_0"));
  for (const auto& entry : catalogue.entries()) {
    EXPECT_EQ(entry.problem, "");
    EXPECT_EQ(entry.architecture, "llama");
    EXPECT_EQ(entry.quantization, "Q8_0");
    EXPECT_EQ(entry.n_context, 4096U);
    EXPECT_EQ(entry.bytes, model_bytes({}).size());
  }
  EXPECT_EQ(catalogue.find("ember")->source, "embedded");
  EXPECT_EQ(catalogue.find("own")->source, "config");
  EXPECT_EQ(catalogue.find("qwen3:0.6b")->source, "ollama");
  EXPECT_EQ(catalogue.find("studio-Q8_0")->source, "lm-studio");
  EXPECT_EQ(catalogue.find("org_repo_cpp")->source, "llama.cpp");
  EXPECT_EQ(catalogue.find("hub-F16")->source, "huggingface");

  options_.scan_other_programs = false;
  EXPECT_THAT(names(scan()), ElementsAre("ember", "own"));
}

TEST_F(CatalogueTest, UnsetPlacesFollowTheEnvironment) {
  for (const char* name :
       {"OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"}) {
    ::unsetenv(name);
  }
  const std::string home = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "";
  ::setenv("HOME", (root_ / "home").c_str(), 1);
  options_ = {};
  write_model(root_ / "home/.lmstudio/models/a/b/one.gguf");
  write_model(root_ / "home/.cache/llama.cpp/two.gguf");
  write_model(root_ / "home/.cache/huggingface/hub/models--a--b/snapshots/r/three.gguf");
  EXPECT_THAT(names(scan()), ElementsAre("one", "three", "two"));

  write_model(root_ / "else/four.gguf");
  ::setenv("LLAMA_CACHE", (root_ / "else").c_str(), 1);
  write_model(root_ / "hf/hub/models--a--b/snapshots/r/five.gguf");
  ::setenv("HF_HOME", (root_ / "hf").c_str(), 1);
  EXPECT_THAT(names(scan()), ElementsAre("five", "four", "one"));
  ::unsetenv("LLAMA_CACHE");
  ::unsetenv("HF_HOME");
  ::setenv("HOME", home.c_str(), 1);
}

TEST_F(CatalogueTest, FilesThatAreNoModelSaySo) {
  const fs::path mine = root_ / "mine";
  write_model(mine / "mmproj-F16.gguf", {.architecture = "clip"});
  write_model(mine / "lora.gguf", {.general_type = "adapter"});
  write_model(mine / "vocab.gguf", {.has_weights = false});
  write_model(mine / "anonymous.gguf", {.architecture = ""});
  write_model(mine / "strange.gguf", {.type = tensor::DType::kQ5_1});
  write(mine / "text.gguf", "Dear diary, this is no model.");
  write(mine / "empty.gguf", "");
  write(mine / "cut.gguf", model_bytes({}).substr(0, 60));
  write(mine / "notes.txt", "not looked at");
  fs::create_symlink("nowhere", mine / "dangling.gguf");
  ASSERT_EQ(::mkfifo((mine / "pipe.gguf").c_str(), 0600), 0);

  EXPECT_THAT(problem_of("mmproj-F16"), HasSubstr("vision part"));
  EXPECT_THAT(problem_of("vocab"), HasSubstr("without weights"));
  EXPECT_THAT(problem_of("anonymous"), HasSubstr("architecture"));
  EXPECT_THAT(problem_of("text"), HasSubstr("text.gguf"));
  EXPECT_THAT(problem_of("empty"), Not(IsEmpty()));
  EXPECT_THAT(problem_of("cut"), Not(IsEmpty()));
  EXPECT_THAT(problem_of("dangling"), Not(IsEmpty()));
  EXPECT_THAT(problem_of("pipe"), HasSubstr("not a regular file"));
  if (!tensor::dtype_info(tensor::DType::kQ5_1).computable) {
    EXPECT_THAT(problem_of("strange"), HasSubstr("Q5_1"));
  }
  EXPECT_THAT(names(scan()), Not(Contains("notes")));

  const auto found = scan().find("lora");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kInvalidArgument);
  EXPECT_THAT(found.error().message, HasSubstr("MODEL@lora"));
}

// Adapters lie where models lie and are no models; a name finds one, and its shape tells its base.
TEST_F(CatalogueTest, ListsAdaptersBesideModels) {
  const auto write_adapter = [&](const std::string& name, std::uint64_t d_model, bool is_lora = true) {
    gguf::GgufWriter writer;
    writer.set_string("general.type", "adapter");
    writer.set_string("general.architecture", "llama");
    writer.set_string("adapter.type", is_lora ? "lora" : "control");
    const std::uint64_t a[] = {d_model, 4}, b[] = {4, 8};
    const auto zeros = [](std::span<std::byte> out) { std::ranges::fill(out, std::byte{0}); };
    writer.add_tensor("blk.3.attn_q.weight.lora_a", tensor::DType::kF16, a, zeros);
    writer.add_tensor("blk.3.attn_q.weight.lora_b", tensor::DType::kF16, b, zeros);
    write(root_ / "mine" / (name + ".gguf"), writer.to_bytes());
  };
  write_model(root_ / "mine" / "base.gguf");
  write_adapter("sql:v2", 256);
  write_adapter("sql-v1", 128);
  write_adapter("steer", 256, false);
  write(root_ / "peft" / "poet" / "adapter_config.json",
        R"({"peft_type":"LORA","base_model_name_or_path":"org/Base"})");
  write(root_ / "peft" / "poet" / "adapter_model.safetensors", "x");
  write(root_ / "peft" / "cut" / "adapter_config.json", R"({"peft_type":"LORA"})");
  write(*options_.huggingface / "models--org--tuned/snapshots/rev/adapter_config.json",
        R"({"peft_type":"IA3"})");
  options_.adapter_folders.push_back(root_ / "peft");

  const Catalogue catalogue = scan();
  EXPECT_THAT(names(catalogue), ElementsAre("base"));
  std::vector<std::string> found;
  for (const auto& entry : catalogue.adapters()) found.push_back(entry.name);
  EXPECT_THAT(found, ElementsAre("cut", "poet", "sql-v1", "sql-v2", "steer", "tuned"));
  const auto find = [&](std::string_view name) { return find_adapter(catalogue.adapters(), name); };
  const CatalogueEntry& base = catalogue.entries().front();
  CatalogueEntry shaped = base;
  shaped.shape = {256, 0, 4};
  EXPECT_TRUE(may_fit(*find("sql-v2"), shaped));
  EXPECT_FALSE(may_fit(*find("sql-v1"), shaped)) << "another width";
  shaped.shape.n_layers = 3;
  EXPECT_FALSE(may_fit(*find("sql-v2"), shaped)) << "fewer layers";
  EXPECT_TRUE(may_fit(*find("poet"), base)) << "by name";
  EXPECT_EQ(find("po")->name, "poet");
  EXPECT_EQ(find((root_ / "peft" / "poet").string())->name, "poet");
  EXPECT_EQ(find((root_ / "mine" / "sql-v1.gguf").string())->name, "sql-v1");
  EXPECT_THAT(find("sql").error().message, HasSubstr("ambiguous"));
  EXPECT_THAT(find("nobody").error().message, HasSubstr("there are cut, poet"));
  EXPECT_THAT(find("steer").error().message, HasSubstr("only LoRA"));
  EXPECT_THAT(find("tuned").error().message, HasSubstr("IA3"));
  EXPECT_THAT(find("cut").error().message, HasSubstr("safetensors"));
  EXPECT_THAT(find((root_ / "mine" / "base.gguf").string()).error().message, HasSubstr("a model"));
  EXPECT_THAT(find("").error().message, HasSubstr("no adapter"));
}

TEST_F(CatalogueTest, ArchitecturesOutsideTheListAreAProblem) {
  write_model(root_ / "mine" / "a.gguf");
  write_model(root_ / "mine" / "b.gguf", {.architecture = "mamba"});
  options_.architectures = std::vector<std::string>{"llama", "qwen2"};
  EXPECT_EQ(problem_of("a"), "");
  EXPECT_THAT(problem_of("b"), HasSubstr("'mamba' is not supported; supported are llama, qwen2"));
}

TEST_F(CatalogueTest, WholeModelsThatOthersMayRunAreToldFromBrokenOnes) {
  write_model(root_ / "mine" / "foreign.gguf", {.architecture = "mamba", .n_layers = 2});
  write_model(root_ / "mine" / "eyes.gguf", {.architecture = "clip", .n_layers = 2});
  write_model(root_ / "mine" / "words.gguf", {.architecture = "mamba", .has_weights = false, .n_layers = 2});
  write_model(root_ / "mine" / "runs.gguf", {.n_layers = 2});
  write(root_ / "mine" / "broken.gguf", "GGUF");
  options_.architectures = std::vector<std::string>{"llama"};
  const Catalogue catalogue = scan();
  EXPECT_TRUE(catalogue.find_any("foreign")->is_foreign);
  EXPECT_TRUE(catalogue.find_any((root_ / "mine" / "foreign.gguf").string())->is_foreign);
  EXPECT_EQ(catalogue.find("foreign").error().code, Code::kUnsupported);
  for (const char* const name : {"eyes", "words", "runs", "broken"}) {
    EXPECT_FALSE(catalogue.find_any(name)->is_foreign) << name;
  }
}

TEST_F(CatalogueTest, TagsAreWordsInLowerCaseAndAreKept) {
  write_model(root_ / "mine" / "a.gguf", {.tags = {"Code", "two words", "", std::string(65, 'x'), "chat"}});
  options_.heads_file = root_ / "heads";
  for (int i = 0; i < 2; ++i) {  // Read, then remembered.
    EXPECT_THAT(scan().find("a")->tags, ElementsAre("code", "chat"));
  }
}

TEST_F(CatalogueTest, SplitModelsAreOneEntry) {
  for (int part = 1; part <= 3; ++part) {
    write_model(root_ / "mine" / fmt::format("big-{:05}-of-00003.gguf", part));
  }
  write_model(root_ / "mine" / "big-0001-of-00003.gguf");  // A name like any other.
  const Catalogue catalogue = scan();
  EXPECT_THAT(names(catalogue), ElementsAre("big", "big-0001-of-00003"));
  EXPECT_EQ(catalogue.entries()[0].problem, "");
  EXPECT_EQ(catalogue.entries()[0].bytes, 3 * model_bytes({}).size());
  EXPECT_THAT(catalogue.entries()[0].path.string(), HasSubstr("big-00001-of-00003.gguf"));
}

TEST_F(CatalogueTest, EqualNamesAreToldApartAndOneFileIsOneModel) {
  write_model(root_ / "mine" / "x" / "same.gguf");
  write_model(root_ / "mine" / "y" / "same.gguf");
  write_model(root_ / "mine" / "z" / "same.gguf");
  write_model(*options_.llama_cpp / "same.gguf");
  fs::create_symlink(root_ / "mine" / "x" / "same.gguf", *options_.llama_cpp / "link.gguf");
  EXPECT_THAT(names(scan()), ElementsAre("same", "same-config", "same-config-2", "same-llama.cpp"));
  EXPECT_EQ(scan().find("same")->path, root_ / "mine" / "x" / "same.gguf");
}

TEST_F(CatalogueTest, HostileManifestsLeadNowhere) {
  write_model(root_ / "secret.gguf");
  write_manifest("registry.ollama.ai/library/a/1", "sha256:../../secret.gguf");
  write_manifest("registry.ollama.ai/library/b/1", "sha256:" + std::string(60, 'a') + "/../");
  write_manifest("registry.ollama.ai/library/c/1", "sha256:" + std::string(64, 'A'));
  write_manifest("registry.ollama.ai/library/d/1", digest('d'));  // No such blob.
  const fs::path manifests = *options_.ollama / "manifests" / "registry.ollama.ai" / "library";
  write(manifests / "e" / "1", "{ not json");
  write(manifests / "f" / "1", R"({"layers": 7})");
  write(manifests / "g" / "1", R"({"layers": [7, {}, {"mediaType": 1, "digest": 2}]})");
  write(manifests / "h" / "1", std::string(kManifestBytesMax + 1, ' '));
  write(manifests / "i" / "1", std::string(200'000, '['));
  write(manifests / "stray", "{}");
  write(manifests / "j" / "1" / "deeper", "{}");
  write_manifest("registry.ollama.ai/library/k/1", digest('a'),
                 R"(,{"mediaType":"application/vnd.ollama.image.adapter","digest":"x"})");
  write_manifest(
      "registry.ollama.ai/library/l/1", digest('a'),
      fmt::format(R"(,{{"mediaType":"application/vnd.ollama.image.model","digest":"{}"}})",
                  digest('b')));

  const Catalogue catalogue = scan();
  EXPECT_THAT(names(catalogue), ElementsAre("a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1",
                                            "i:1", "k:1", "l:1"));
  for (const auto& entry : catalogue.entries()) EXPECT_THAT(entry.problem, Not(IsEmpty()));
  EXPECT_THAT(problem_of("a:1"), HasSubstr("SHA-256"));
  EXPECT_THAT(problem_of("f:1"), HasSubstr("remote"));
  EXPECT_THAT(problem_of("k:1"), HasSubstr("adapter"));
}

TEST_F(CatalogueTest, LoopsEndAndDepthIsBounded) {
  const fs::path mine = root_ / "mine";
  write_model(mine / "a" / "one.gguf");
  fs::create_directory_symlink(mine, mine / "a" / "loop");
  fs::create_directory_symlink(".", mine / "self");
  fs::path deep = mine;
  for (int depth = 0; depth <= kFolderDepthMax; ++depth) {
    deep /= "d";
    if (depth == kFolderDepthMax - 1) write_model(deep / "deepest.gguf");
  }
  write_model(deep / "too-deep.gguf");
  const Catalogue catalogue = scan();
  EXPECT_THAT(names(catalogue), ElementsAre("deepest", "one"));
  EXPECT_THAT(catalogue.notes(), ElementsAre(HasSubstr("folders deep")));
}

TEST_F(CatalogueTest, FileLimitHasTwoSides) {
  for (int i = 0; i < 4; ++i) write_model(root_ / "mine" / fmt::format("{}.gguf", i));
  options_.files_max = 4;
  EXPECT_EQ(scan().entries().size(), 4U);
  EXPECT_THAT(scan().notes(), IsEmpty());
  options_.files_max = 3;
  EXPECT_EQ(scan().entries().size(), 3U);
  EXPECT_THAT(scan().notes(), ElementsAre(HasSubstr("1 model files were left out")));
}

TEST_F(CatalogueTest, UnreadableFoldersAreNoted) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads every folder";
  write_model(root_ / "mine" / "locked" / "a.gguf");
  write_model(root_ / "mine" / "open" / "b.gguf");
  fs::permissions(root_ / "mine" / "locked", fs::perms::none);
  const Catalogue catalogue = scan();
  fs::permissions(root_ / "mine" / "locked", fs::perms::owner_all);
  EXPECT_THAT(names(catalogue), ElementsAre("b"));
  EXPECT_THAT(catalogue.notes(), ElementsAre(HasSubstr("can't be read")));
}

// A file where a folder should be, for root too.
TEST_F(CatalogueTest, AFileInPlaceOfAFolderIsNoted) {
  write(root_ / "mine", "a file");
  EXPECT_THAT(scan().entries(), IsEmpty());
  EXPECT_THAT(scan().notes(), ElementsAre(HasSubstr("can't be read")));
}

TEST_F(CatalogueTest, NamesArePrintable) {
  write_model(root_ / "mine" / "bad\nname\xFF.gguf");
  EXPECT_THAT(names(scan()), ElementsAre("bad_name\uFFFD"));
}

TEST_F(CatalogueTest, FindsByNamePrefixAndPath) {
  write_model(root_ / "mine" / "Qwen3-0.6B-Q8_0.gguf");
  write_model(root_ / "mine" / "Qwen3-1.7B-Q8_0.gguf");
  write_model(root_ / "mine" / "Llama-3.gguf");
  write_manifest("registry.ollama.ai/library/phi/latest", digest('a'));
  write_model(*options_.ollama / "blobs" / ("sha256-" + std::string(64, 'a')));
  write_model(root_ / "elsewhere" / "other.gguf");
  const Catalogue catalogue = scan();

  EXPECT_EQ(catalogue.find("Llama-3")->name, "Llama-3");
  EXPECT_EQ(catalogue.find("llama-3")->name, "Llama-3");
  EXPECT_EQ(catalogue.find("llama")->name, "Llama-3");
  EXPECT_EQ(catalogue.find("qwen3-0")->name, "Qwen3-0.6B-Q8_0");
  EXPECT_EQ(catalogue.find("Llama-3.gguf")->name, "Llama-3");
  EXPECT_EQ(catalogue.find("phi")->name, "phi:latest");
  EXPECT_EQ(catalogue.find((root_ / "mine" / "Llama-3.gguf").string())->source, "config");
  EXPECT_EQ(catalogue.find((root_ / "elsewhere" / "other.gguf").string())->source, "path");

  const auto ambiguous = catalogue.find("qwen3");
  ASSERT_FALSE(ambiguous);
  EXPECT_EQ(ambiguous.error().code, Code::kInvalidArgument);
  EXPECT_THAT(ambiguous.error().message, HasSubstr("Qwen3-0.6B-Q8_0, Qwen3-1.7B-Q8_0"));
  for (const char* name : {"gpt", "", "/no/such/file.gguf", "none.gguf"}) {
    const auto missing = catalogue.find(name);
    ASSERT_FALSE(missing) << name;
    EXPECT_EQ(missing.error().code, Code::kNotFound) << name;
  }
  EXPECT_THAT(catalogue.find("gpt").error().message, HasSubstr("there are Llama-3, Qwen3"));
}

TEST_F(CatalogueTest, PrefixPrefersModelsThatRun) {
  write_model(root_ / "mine" / "tiny-a.gguf");
  write_model(root_ / "mine" / "tiny-b.gguf", {.has_weights = false});
  EXPECT_EQ(scan().find("tiny")->name, "tiny-a");
}

TEST_F(CatalogueTest, RescanSeesChangedFilesOnly) {
  write_model(root_ / "mine" / "a.gguf");
  write_model(root_ / "mine" / "b.gguf");
  const Catalogue first = scan();
  write_model(root_ / "mine" / "b.gguf", {.architecture = "qwen2"});
  const Catalogue second = Catalogue::scan(options_, &first);
  EXPECT_EQ(second.find("a")->architecture, "llama");
  EXPECT_EQ(second.find("b")->architecture, "qwen2");
}

// Shown, and held far above what it takes: a busy machine must not fail it.
TEST_F(CatalogueTest, AHundredFilesAreQuick) {
  for (int i = 0; i < 100; ++i) write_model(root_ / "mine" / fmt::format("{}.gguf", i));
  const auto start = std::chrono::steady_clock::now();
  const Catalogue catalogue = scan();
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(catalogue.entries().size(), 100U);
  fmt::print("100 files: {:.2f} ms\n", taken.count());
  EXPECT_LT(taken.count(), 2'000);
}

}  // namespace
}  // namespace hearth::store
