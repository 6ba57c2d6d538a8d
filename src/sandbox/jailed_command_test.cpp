// A command's jail, tried from the inside by a program that wants out, and by a compiler that is
// fed what attackers feed compilers.
#include "sandbox/jailed_command.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <thread>

#include "sandbox/program.h"
#include "sandbox/test_support/jail_fixture.h"
#include "sandbox/worker/filters.h"

namespace hearth::sandbox {
namespace {

// A folder with the program that tries things, one to write to, and a file that is nobody's
// business.
struct Yard {
  TempFolder folder;
  std::filesystem::path program = folder.path() / "bin" / "attempts";
  std::filesystem::path own = folder.path() / "own";
  std::filesystem::path secret = folder.path() / "secret.txt";

  Yard() {
    std::filesystem::create_directories(program.parent_path());
    std::filesystem::create_directories(own);
    must(write_file_atomic(program, must(read_file(HEARTH_COMMAND_ATTEMPTS))));
    std::filesystem::permissions(program, std::filesystem::perms{0755});
    must(write_file_atomic(secret, "hearth-secret-9a7c\n"));
    std::filesystem::permissions(secret, std::filesystem::perms{0666});
  }

  JailedCommand command(std::string attempt, std::string target = {}) const {
    JailedCommand command;
    command.program = program;
    command.arguments = {std::move(attempt), std::move(target)};
    command.readable = toolchain_paths();
    command.readable.push_back(program.parent_path());
    command.writable = {own};
    command.working_folder = own;
    return command;
  }
  CommandOutcome run(std::string attempt, std::string target = {}) const {
    return must(run_jailed(command(std::move(attempt), std::move(target))));
  }
};

using CommandTest = JailTest;

TEST_F(CommandTest, RunsAProgramWithItsInputAndOutput) {
  as_every_user([] {
    const Yard yard;
    JailedCommand command = yard.command("echo");
    command.input = "hello";
    const CommandOutcome outcome = must(run_jailed(command));
    EXPECT_TRUE(outcome.succeeded());
    EXPECT_EQ(outcome.output, "hello!");
    EXPECT_EQ(yard.run("no such attempt").exit_code, 2);
  });
}

TEST_F(CommandTest, GivesTheEnvironmentAndDescriptorsThatItWasToldTo) {
  const Yard yard;
  const OwnedFd leaked(::open("/dev/null", O_RDONLY));  // Without O_CLOEXEC, as libraries do.
  JailedCommand command = yard.command("environment");
  command.environment = {"A=b", "LANG=C"};
  EXPECT_EQ(must(run_jailed(command)).output, "A=b\nLANG=C\n");
  EXPECT_EQ(yard.run("descriptors").output, "open 3\n");
}

TEST_F(CommandTest, LetsItWriteToItsOwnFolder) {
  as_every_user([] {
    const Yard yard;
    const std::string file = yard.own / "file";
    EXPECT_TRUE(yard.run("create", file).succeeded());
    EXPECT_TRUE(yard.run("read", file).succeeded());
    EXPECT_TRUE(yard.run("write", file).succeeded());
    EXPECT_TRUE(yard.run("remove", file).succeeded());
  });
}

// Each would succeed for this user without the jail: all paths and processes are its own.
void expect_no_way_out() {
  const Yard yard;
  const std::string secret = yard.secret, self = std::to_string(::getpid());
  const std::string copy = yard.own / "copy";
  std::filesystem::copy_file(yard.program, copy);
  const std::pair<const char*, std::string> attempts[] = {
      {"connect", ""},
      {"unix_socket", ""},
      {"socket_pair", ""},
      {"read", secret},
      {"write", secret},
      {"truncate", secret},
      {"open_truncating", secret},
      {"open_truncating_oddly", secret},
      {"create", yard.folder.path() / "new"},
      {"create", yard.program.parent_path() / "new"},
      {"remove", secret},
      {"chmod", secret},
      {"chmod", copy},
      {"run", copy},
      {"kill", self},
      {"signal_by_pipe", self},
      {"ptrace", self},
      {"read_memory", self},
      {"own_memory", ""},
      {"read", "/proc/self/maps"},
      {"read", "/etc/passwd"},
      {"read", "/"},
      {"read", "/proc/" + self + "/environ"},
      {"leave_group", ""},
      {"new_session", ""},
      {"new_namespace", ""},
      {"clone3", ""},
      {"memory_file", ""},
      {"more_cpu", ""},
      {"io_uring", ""},
      {"mount", ""},
      {"capabilities", ""},
  };
  for (const auto& [attempt, target] : attempts) {
    const CommandOutcome outcome = yard.run(attempt, target);
    EXPECT_EQ(outcome.exit_code, 1) << attempt << ' ' << target << ": " << outcome.output;
    EXPECT_EQ(outcome.output.rfind("refused", 0), 0U)
        << attempt << ' ' << target << ": " << outcome.output;
  }
  EXPECT_EQ(must(read_file(yard.secret)), "hearth-secret-9a7c\n");
  EXPECT_FALSE(std::filesystem::exists(yard.folder.path() / "new"));
}

TEST_F(CommandTest, RefusesEveryWayOut) { as_every_user(expect_no_way_out); }

// As on kernels that are older than this one: from Linux 5.13 on.
TEST_F(CommandTest, RefusesEveryWayOutWithAnyVersionOfLandlock) {
  for (const std::uint32_t version : {1, 2, 3, 4, 5, 6}) {
    SCOPED_TRACE(version);
    limit_jail_landlock(version);
    expect_no_way_out();
    EXPECT_TRUE(Worker::start({}));
    limit_jail_landlock(0);
  }
}

// The filter alone, in a child without Landlock: older versions of that know neither truncation nor
// signals.
TEST_F(CommandTest, TheFilterStandsWithoutLandlock) {
  const Yard yard;
  const auto path = reinterpret_cast<long>(yard.secret.c_str());
  const long self = ::getpid();
  const std::pair<std::array<long, 7>, int> calls[] = {
      {{SYS_openat, AT_FDCWD, path, O_RDONLY}, 0},
      {{SYS_openat, AT_FDCWD, path, O_RDONLY | O_TRUNC}, EACCES},
      {{SYS_openat, AT_FDCWD, path, O_ACCMODE | O_TRUNC}, EACCES},
      {{SYS_open, path, O_RDONLY | O_TRUNC}, EACCES},
      {{SYS_open, path, O_ACCMODE | O_TRUNC}, EACCES},
      {{SYS_open, path, O_WRONLY}, 0},
      {{SYS_openat2, AT_FDCWD, path}, ENOSYS},
      {{SYS_truncate, path, 0}, ENOSYS},
      {{SYS_chmod, path, 0777}, ENOSYS},
      {{SYS_fchmodat, AT_FDCWD, path, 0777}, ENOSYS},
      {{SYS_chown, path, 0, 0}, ENOSYS},
      {{SYS_utimensat, AT_FDCWD, path}, ENOSYS},
      {{SYS_setxattr, path}, ENOSYS},
      {{SYS_link, path, path}, ENOSYS},
      {{SYS_symlink, path, path}, ENOSYS},
      {{SYS_chdir, path}, ENOSYS},
      {{SYS_kill, self, 0}, ENOSYS},
      {{SYS_tgkill, self, self, 0}, ENOSYS},
      {{SYS_fcntl, 0, F_SETOWN, self}, ENOSYS},
      {{SYS_fcntl, 0, F_GETFD}, 0},
      {{SYS_ioctl, 0, FIOASYNC}, ENOSYS},
      {{SYS_socket, AF_UNIX, SOCK_STREAM}, ENOSYS},
      {{SYS_prlimit64, self}, ENOSYS},
      {{SYS_prlimit64, 0}, 0},
      {{SYS_setsid}, ENOSYS},
      {{SYS_clone3, 0}, ENOSYS},
      {{SYS_clone, CLONE_NEWUSER | SIGCHLD}, ENOSYS},
      {{SYS_clone, CLONE_PARENT | SIGCHLD}, ENOSYS},
      {{SYS_io_uring_setup, 1}, ENOSYS},
      {{SYS_ptrace, 0}, ENOSYS},
  };
  for (const auto& [words, expected] : calls) {
    EXPECT_EQ(fate_of(command_filter(), words), expected)
        << words[0] << ' ' << words[1] << ' ' << words[3];
  }
  EXPECT_EQ(must(read_file(yard.secret)), "hearth-secret-9a7c\n");
}

// Root may read any file, but for its capabilities.
TEST_F(CommandTest, RootHasNoCapabilities) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  const Yard yard;
  const std::string file = yard.own / "of_nobody";
  must(write_file_atomic(file, "x"));
  ASSERT_TRUE(yard.run("read", file).succeeded());
  ASSERT_EQ(::chown(file.c_str(), kNobody, kNobody), 0);
  std::filesystem::permissions(file, std::filesystem::perms{0600});
  EXPECT_FALSE(yard.run("read", file).succeeded());
}

TEST_F(CommandTest, CountsProcessesForAnyUser) {
  as_every_user([] {
    const Yard yard;
    JailedCommand command = yard.command("fork_many");
    command.limits.n_processes = 6;
    const CommandOutcome outcome = must(run_jailed(command));
    EXPECT_EQ(outcome.output, "started 5\n");
    EXPECT_EQ(outcome.n_refused_processes, 45U);
  });
}

TEST_F(CommandTest, EndsOrphansAndWhatSleepsBeyondTheDeadline) {
  const Yard yard;
  EXPECT_TRUE(yard.run("orphans").succeeded());
  JailedCommand command = yard.command("sleep");
  command.limits.wall_ms = 50;
  EXPECT_TRUE(must(run_jailed(command)).timed_out);
  // Nobody who runs that program is left, not even as a zombie.
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::error_code error;
    EXPECT_NE(std::filesystem::read_symlink(entry.path() / "exe", error), yard.program);
  }
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(CommandTest, BoundsTimeMemoryFilesAndOutput) {
  as_every_user([] {
    const Yard yard;
    JailedCommand loop = yard.command("loop");
    loop.limits.cpu_s = 1;
    loop.limits.wall_ms = 300'000;  // A busy machine gives little of a second.
    const CommandOutcome looped = must(run_jailed(loop));
    EXPECT_EQ(looped.signal, SIGXCPU);
    EXPECT_GT(looped.cpu_us,
              100'000U);  // The limit is counted in ticks, and with what a host has stolen.

    JailedCommand memory = yard.command("memory");
    memory.limits.address_space_bytes = std::uint64_t{512} << 20;
    const std::string taken = must(run_jailed(memory)).output;
    EXPECT_EQ(taken.rfind("taken ", 0), 0U);
    EXPECT_LE(std::stoi(taken.substr(6)), 512);

    JailedCommand file = yard.command("large_file", yard.own / "large");
    file.limits.file_bytes = std::uint64_t{3} << 20;
    EXPECT_EQ(must(run_jailed(file)).signal, SIGXFSZ);
    EXPECT_EQ(std::filesystem::file_size(yard.own / "large"), std::uint64_t{3} << 20);

    JailedCommand output = yard.command("output");
    output.limits.output_bytes = 5000;
    const CommandOutcome printed = must(run_jailed(output));
    EXPECT_EQ(printed.output.size(), 5000U);
    EXPECT_TRUE(printed.output_truncated);
    EXPECT_TRUE(printed.succeeded());
  });
}

TEST_F(CommandTest, SaysWhatIsNotThere) {
  const Yard yard;
  JailedCommand command = yard.command("echo");
  command.program = "attempts";
  EXPECT_EQ(run_jailed(command).error().code, Code::kInvalidArgument);
  command.program = "/no/such/program";
  EXPECT_EQ(run_jailed(command).error().code, Code::kNotFound);
  command = yard.command("echo");
  command.readable.push_back("/no/such/path");
  EXPECT_NE(run_jailed(command).error().message.find("/no/such/path"), std::string::npos);
  command = yard.command("echo");
  command.readable = toolchain_paths();  // The program itself may not be run.
  EXPECT_EQ(run_jailed(command).error().code, Code::kNotFound);
}

// Whichever step the system refuses, nothing runs, and the reason is told.
TEST_F(CommandTest, RunsNothingWhereAStepOfTheJailFails) {
  as_every_user([] {
    const Yard yard;
    const std::string file = yard.own / "made";
    std::uint32_t step = 1;
    for (;; ++step) {
      fail_jail_step(step);
      const Result<CommandOutcome> outcome = run_jailed(yard.command("create", file));
      fail_jail_step(0);
      if (outcome) break;
      EXPECT_EQ(outcome.error().code, Code::kUnsupported) << step;
      EXPECT_NE(outcome.error().message.find("nothing was run"), std::string::npos)
          << outcome.error().message;
      ASSERT_FALSE(std::filesystem::exists(file))
          << "step " << step << ": " << outcome.error().message;
      ASSERT_LT(step, 100U);
    }
    EXPECT_GE(step, 12U);
    EXPECT_TRUE(std::filesystem::exists(file));
    fail_jail_step(4);
    const Result<Worker> worker = Worker::start({});
    fail_jail_step(0);
    ASSERT_FALSE(worker);
  });
}

TEST_F(CommandTest, EndsWithItsCaller) {
  const Yard yard;
  const pid_t caller = ::fork();
  if (caller == 0) {
    (void)run_jailed(yard.command("sleep"));
    ::_exit(0);
  }
  const auto n_running = [&] {
    std::error_code error;
    const auto runs = [&](const auto& entry) {
      return std::filesystem::read_symlink(entry.path() / "exe", error) == yard.program;
    };
    return std::ranges::count_if(std::filesystem::directory_iterator("/proc"), runs);
  };
  while (n_running() == 0) std::this_thread::yield();
  ::kill(caller, SIGKILL);
  ::waitpid(caller, nullptr, 0);
  const std::int64_t until_ns = monotonic_ns() + 20'000'000'000;
  while (n_running() != 0 && monotonic_ns() < until_ns) std::this_thread::yield();
  EXPECT_EQ(n_running(), 0);
}

// ---- The compiler.

struct CompileTest : CommandTest {
  void SetUp() override {
    CommandTest::SetUp();
    if (!IsSkipped() && !std::filesystem::exists("/usr/bin/g++"))
      GTEST_SKIP() << "no /usr/bin/g++ here";
  }

  static JailedCommand compile(const Yard& yard, std::string source) {
    JailedCommand command;
    command.program = "/usr/bin/g++";
    command.arguments = {"-x",
                         "c++",
                         "-std=c++20",
                         "-ffreestanding",
                         "-nostdinc",
                         "-nostdlib",
                         "-fno-exceptions",
                         "-fPIC",
                         "-shared",
                         "-O2",
                         "-o",
                         yard.own / "image.so",
                         "-"};
    command.readable = toolchain_paths();
    command.writable = {yard.own};
    command.working_folder = yard.own;
    command.environment = {"PATH=/usr/bin:/bin", "LC_ALL=C", "TMPDIR=" + yard.own.string()};
    command.input = std::move(source);
    command.limits.cpu_s = 5;
    command.limits.wall_ms = 300'000;
    return command;
  }
};

TEST_F(CompileTest, CompilesAnHonestKernelThatThenRuns) {
  as_every_user([] {
    const Yard yard;
    const CommandOutcome outcome = must(run_jailed(compile(yard, R"(
      extern "C" double exp(double);
      extern "C" void hearth_entry(void* const* buffers, const long* integers, const double* reals, const void*) {
        for (long i = 0; i < integers[0]; ++i) static_cast<double*>(buffers[0])[i] = exp(reals[0] * double(i));
      })")));
    ASSERT_TRUE(outcome.succeeded()) << outcome.output;
    EXPECT_EQ(outcome.output, "");
    Worker worker = must(Worker::start({}));
    Memory memory(4096);
    RunRequest request{};
    request.kernel = must(worker.load(sealed_file((yard.own / "image.so").c_str()).get()));
    request.n_buffers = request.n_integers = request.n_reals = 1;
    request.buffers[0].mapping = must(worker.map(memory.fd(), 0, 4096, Access::kWrite));
    request.integers[0] = 10;
    request.reals[0] = 0.5;
    ASSERT_EQ(must(worker.run(request, in_seconds(20))).end, RunEnd::kDone);
    EXPECT_DOUBLE_EQ(memory.as<double>()[4], 7.38905609893065);
  });
}

TEST_F(CompileTest, ShowsNoForeignFile) {
  as_every_user([] {
    const Yard yard;
    const std::string secret = yard.secret;
    const std::string sources[] = {
        "#include \"" + secret + "\"\n",
        "__asm__(\".incbin \\\"" + secret + "\\\"\");\n",
        "__asm__(\".include \\\"" + secret + "\\\"\");\n",
        "#include \"/etc/passwd\"\n",
        "#include \"/proc/self/environ\"\n",
    };
    for (const std::string& source : sources) {
      const CommandOutcome outcome = must(run_jailed(compile(yard, source)));
      EXPECT_FALSE(outcome.succeeded()) << source;
      EXPECT_EQ(outcome.output.find("hearth-secret"), std::string::npos) << outcome.output;
      EXPECT_EQ(outcome.output.find("root:"), std::string::npos) << outcome.output;
      EXPECT_FALSE(std::filesystem::exists(yard.own / "image.so")) << source;
    }
  });
}

TEST_F(CompileTest, EndsBombs) {
  const Yard yard;
  // Loops for ever while compiling; expands to more than any memory.
  JailedCommand loop = compile(yard, R"(
    constexpr long spin() { long n = 0; for (long i = 0; i < 4000000000000; ++i) n += i; return n; }
    constexpr long value = spin();
    extern "C" long hearth_entry() { return value; })");
  loop.arguments.insert(loop.arguments.begin(), {"-fconstexpr-ops-limit=9223372036854775807",
                                                 "-fconstexpr-loop-limit=2147483647"});
  loop.limits.cpu_s = 1;
  loop.limits.wall_ms = 300'000;
  const CommandOutcome looped = must(run_jailed(loop));
  EXPECT_FALSE(looped.succeeded());
  EXPECT_FALSE(looped.timed_out) << "the limit on CPU time comes first";

  JailedCommand memory = compile(yard, R"(
#define TEN(x) x x x x x x x x x x
#define THOUSAND(x) TEN(TEN(TEN(x)))
THOUSAND(THOUSAND(THOUSAND(int f();))))");
  memory.limits.address_space_bytes = std::uint64_t{256} << 20;
  const CommandOutcome grown = must(run_jailed(memory));
  EXPECT_FALSE(grown.succeeded());
  EXPECT_FALSE(grown.timed_out) << "the limit on memory comes first";
}

}  // namespace
}  // namespace hearth::sandbox
