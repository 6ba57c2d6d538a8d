#include "compute/machine_key.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/file.h"

namespace hearth::compute {
namespace {

using Secret = std::array<std::uint8_t, 32>;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Context = std::unique_ptr<EVP_MD_CTX, FreeKey>;

Result<Secret> read_secret(int fd, const std::filesystem::path& file) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return std::unexpected(file_error("can't look at", file, errno));
  const bool is_private = status.st_uid == ::geteuid() && (status.st_mode & 077) == 0;
  if (!is_private) {
    return fail(Code::kPermissionDenied,
                fmt::format("others may read the machine's key '{}': chmod 600 it, or remove it "
                            "and all receipts that it signed lose their signer",
                            file.string()));
  }
  Secret secret;
  if (status.st_size != static_cast<off_t>(secret.size()) ||
      ::pread(fd, secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) {
    return fail(
        Code::kCorrupt,
        fmt::format("'{}' holds no key of 32 bytes: remove it to get a new one", file.string()));
  }
  return secret;
}

// Written beside its place and linked there, so that two who make it at once agree on one.
Result<> make_file(const std::filesystem::path& file) {
  std::error_code ignored;
  std::filesystem::create_directories(file.parent_path(), ignored);
  std::string name = file.string() + ".XXXXXX";
  const int fd = ::mkstemp(name.data());  // 0600
  if (fd < 0) return std::unexpected(file_error("can't make", file, errno));
  Secret secret;
  const bool is_written =
      RAND_bytes(secret.data(), static_cast<int>(secret.size())) == 1 &&
      ::write(fd, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size()) &&
      ::fsync(fd) == 0;
  OPENSSL_cleanse(secret.data(), secret.size());
  ::close(fd);
  const int linked = is_written ? ::link(name.c_str(), file.c_str()) : -1;
  const int error_number = errno;
  ::unlink(name.c_str());
  if (linked != 0 && error_number != EEXIST)
    return std::unexpected(file_error("can't write", file, error_number));
  sync_folder(file.parent_path());
  return {};
}

}  // namespace

MachineKey::MachineKey(const Secret& secret) : secret_(secret) {
  const Key key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret_.data(), secret_.size()));
  HEARTH_CHECK(key != nullptr);
  std::size_t size = public_key_.size();
  HEARTH_CHECK(EVP_PKEY_get_raw_public_key(key.get(), public_key_.data(), &size) == 1);
}

MachineKey::~MachineKey() { OPENSSL_cleanse(secret_.data(), secret_.size()); }

Result<std::shared_ptr<const MachineKey>> MachineKey::open(const std::filesystem::path& file) {
  for (const bool may_make : {true, false}) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && may_make) {
      HEARTH_TRY_VOID(make_file(file));
      continue;
    }
    if (fd < 0) return std::unexpected(file_error("can't open", file, errno));
    auto secret = read_secret(fd, file);
    ::close(fd);
    if (!secret) return std::unexpected(std::move(secret).error());
    std::shared_ptr<const MachineKey> key(new MachineKey(*secret));
    OPENSSL_cleanse(secret->data(), secret->size());
    return key;
  }
  return fail(Code::kUnavailable,
              fmt::format("the machine's key '{}' vanished while it was opened", file.string()));
}

SignatureBytes MachineKey::sign(std::string_view text) const {
  const Key key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret_.data(), secret_.size()));
  const Context context(EVP_MD_CTX_new());
  SignatureBytes signature{};
  std::size_t size = signature.size();
  HEARTH_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  HEARTH_CHECK(EVP_DigestSign(context.get(), signature.data(), &size,
                              reinterpret_cast<const std::uint8_t*>(text.data()),
                              text.size()) == 1);
  return signature;
}

Sha256 MachineKey::seal(std::string_view bytes) const {
  // Its own use of the secret, so that no seal is ever a signature's material.
  constexpr std::string_view kUse = "hearth kernel shelf 1";
  Sha256 digest{}, key{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
       reinterpret_cast<const std::uint8_t*>(kUse.data()), kUse.size(), key.data(), &size);
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), digest.data(), &size);
  return digest;
}

bool is_signed_by(const PublicKey& public_key, std::string_view text,
                  const SignatureBytes& signature) {
  const Key key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  const Context context(EVP_MD_CTX_new());
  if (key == nullptr ||
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1)
    return false;
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                          reinterpret_cast<const std::uint8_t*>(text.data()), text.size()) == 1;
}

}  // namespace hearth::compute
