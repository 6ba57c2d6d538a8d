#include "engine/snapshot_desk.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "base/log.h"
#include "engine/catch_error.h"

namespace hearth::engine {
namespace {

// The writer's copying must not take a core from those who answer (Linux has a niceness per thread).
constexpr int kWriterNiceness = 10;

}  // namespace

SnapshotDesk::SnapshotDesk(SnapshotFolderOptions options, std::function<void()> wake)
    : folder_(std::move(options)),
      wake_(std::move(wake)),
      reader_([this] { reader_loop(); }),
      writer_([this] { writer_loop(); }) {}

SnapshotDesk::~SnapshotDesk() {
  is_stopping_ = true;
  recall();
  reads_.put(Stop{});
  saves_.put(Stop{});
  reader_.join();
  writer_.join();
}

void SnapshotDesk::look(std::uint64_t ticket, SnapshotText text, std::uint32_t first_page) {
  reads_.put(Look{ticket, std::move(text), first_page});
}

void SnapshotDesk::read(std::uint64_t ticket, SnapshotHit hit, std::vector<std::byte*> to) {
  reads_.put(Read{ticket, std::move(hit), std::move(to)});
}

void SnapshotDesk::save(std::uint64_t ticket, SnapshotDraft draft) {
  saves_.put(Save{ticket, ++last_saved_, std::move(draft)});
}

void SnapshotDesk::answer(Look& look, SnapshotNews& news) {
  news.kind = SnapshotNews::Kind::kFound;
  const auto refreshed = folder_.refresh();
  if (!refreshed && !has_told_of_folder_.exchange(true)) {
    log_warn("engine", refreshed.error().message);
  }
  if (refreshed) news.hit = folder_.find(look.text, look.first_page);
}

void SnapshotDesk::answer(Read& read, SnapshotNews& news) {
  news.kind = SnapshotNews::Kind::kRead;
  news.n_read = folder_.read(read.hit, read.to, news.logits);
}

void SnapshotDesk::reader_loop() {
  // Whoever asks first should find the heads read.
  (void)catch_error([&] { (void)folder_.refresh(); });
  for (;;) {
    for (auto& message : reads_.take_all()) {
      if (std::holds_alternative<Stop>(message)) return;
      SnapshotNews news;
      const auto error = catch_error([&] {
        if (Look* const look = std::get_if<Look>(&message)) {
          news.ticket = look->ticket;
          answer(*look, news);
        } else if (Read* const read = std::get_if<Read>(&message)) {
          news.ticket = read->ticket;
          answer(*read, news);
        }
      });
      if (error) {  // Short of memory: as if nothing were there.
        news.hit = {};
        news.n_read = 0;
        news.logits = {};
      }
      tell(std::move(news));
    }
  }
}

void SnapshotDesk::answer(Save& save) {
  const auto goes_on = [this, number = save.number] { return recalled_.load() < number; };
  const auto error = catch_error([&] {
    if (!goes_on()) return;
    const auto saved = folder_.save(save.draft, goes_on);
    if (!saved) log_debug("engine", saved.error().message);
  });
  if (error) (void)catch_error([] { log_warn("engine", "out of memory: no snapshot is written"); });
}

void SnapshotDesk::writer_loop() {
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kWriterNiceness);
  for (;;) {
    for (auto& message : saves_.take_all()) {
      Save* const save = std::get_if<Save>(&message);
      if (save == nullptr) return;
      answer(*save);
      tell({.kind = SnapshotNews::Kind::kSaved, .ticket = save->ticket});
    }
  }
}

void SnapshotDesk::tell(SnapshotNews news) {
  {
    const std::lock_guard lock(mutex_);
    news_.push_back(std::move(news));
  }
  changed_.notify_all();
  if (!is_stopping_ && wake_) wake_();
}

std::vector<SnapshotNews> SnapshotDesk::take_news() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

std::vector<SnapshotNews> SnapshotDesk::wait_for_news(
    std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [this] { return !news_.empty(); });
  return std::exchange(news_, {});
}

}  // namespace hearth::engine
