#include "base/trace.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <unistd.h>

#include <ps/error.h>

namespace ps {
namespace trace {
namespace internal {

std::atomic<bool> recording{false};

}  // namespace internal

namespace {

constexpr std::size_t kFlushBytes = std::size_t{64} << 10;

std::atomic<int> file{-1};

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// One write a call, so that lines of several processes do not mix. What cannot be written (a full
// disk) is lost, and the recording ends; training goes on.
void append(int fd, std::string_view text) {
  if (fd < 0 || text.empty()) return;
  if (::write(fd, text.data(), text.size()) < 0) internal::recording = false;
}

class Writer {
 public:
  Writer() : thread_(::gettid()) {}
  ~Writer() { flush(); }

  void flush() {
    append(file, text_);
    text_.clear();
  }

  void begin(const char* phase, std::string_view name, std::int64_t at_ns) {
    text_ += R"({"ph":")";
    text_ += phase;
    text_ += R"(","pid":)";
    number(static_cast<std::uint64_t>(::getpid()));
    text_ += R"(,"tid":)";
    number(static_cast<std::uint64_t>(thread_));
    text_ += R"(,"ts":)";
    microseconds(at_ns);
    text_ += R"(,"name":")";
    quoted(name);
    text_ += '"';
  }

  void field(const char* key, std::uint64_t value) {
    text_ += ",\"";
    text_ += key;
    text_ += "\":";
    number(value);
  }

  void field(const char* key, std::string_view value) {
    text_ += ",\"";
    text_ += key;
    text_ += "\":\"";
    quoted(value);
    text_ += '"';
  }

  // Unique to the thread.
  void own_id(std::uint64_t id) {
    text_ += R"(,"cat":"request","id":")";
    number(static_cast<std::uint64_t>(thread_));
    text_ += '.';
    number(id);
    text_ += '"';
  }

  void duration(std::int64_t ns) {
    text_ += ",\"dur\":";
    microseconds(ns);
  }

  void open_arguments() { text_ += R"(,"args":{"ps":1)"; }

  void end(bool arguments = false) {
    text_ += arguments ? "}},\n" : "},\n";
    if (text_.size() >= kFlushBytes) flush();
  }

 private:
  void number(std::uint64_t value) {
    char digits[20];
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }

  // With its three decimals.
  void microseconds(std::int64_t ns) {
    number(static_cast<std::uint64_t>(ns / 1000));
    const auto rest = static_cast<std::uint64_t>(ns % 1000);
    text_ += rest < 10 ? ".00" : rest < 100 ? ".0" : ".";
    number(rest);
  }

  void quoted(std::string_view text) {
    for (const char c : text) {
      const bool plain = static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
      text_ += plain ? c : '_';
    }
  }

  const pid_t thread_;
  std::string text_;
};

Writer& writer() {
  thread_local Writer of_thread;
  return of_thread;
}

// Names and places are events without a time.
void metadata(const char* what, const char* key, std::string_view text, std::uint64_t value) {
  Writer& out = writer();
  out.begin("M", what, 0);
  out.open_arguments();
  if (text.empty()) {
    out.field(key, value);
  } else {
    out.field(key, text);
  }
  out.end(true);
}

int open_file(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | flags, 0644);
  if (fd < 0) {
    throw Error(ErrorCode::kIo,
                "cannot write the trace " + path + " (observe.trace): " + std::strerror(errno));
  }
  return fd;
}

}  // namespace

void start(const std::string& path, const std::string& process, int order, Begin begin) {
  const int fd = open_file(path, begin == Begin::kFile ? O_TRUNC : 0);
  if (begin == Begin::kFile) append(fd, "[\n");
  const int before = file.exchange(fd);
  if (before >= 0) ::close(before);
  internal::recording = true;
  metadata("process_name", "name", process, 0);
  metadata("process_sort_index", "sort_index", {}, static_cast<std::uint64_t>(order));
}

void finish(const std::string& path) noexcept {
  if (internal::recording.exchange(false)) writer().flush();
  const int before = file.exchange(-1);
  if (before >= 0) ::close(before);
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return;
  append(fd, R"({"ph":"M","pid":0,"ts":0,"name":"end","args":{}}
]
)");
  ::close(fd);
}

void name_thread(const std::string& name) {
  if (on()) metadata("thread_name", "name", name, 0);
}

void instant(const char* name, std::string_view detail) {
  if (!on()) return;
  Writer& out = writer();
  out.begin("i", name, now_ns());
  out.field("s", "t");
  if (!detail.empty()) {
    out.open_arguments();
    out.field("detail", detail);
  }
  out.end(!detail.empty());
}

void begin_async(const char* name, std::uint64_t id, std::uint64_t bytes) {
  if (!on()) return;
  Writer& out = writer();
  out.begin("b", name, now_ns());
  out.own_id(id);
  out.open_arguments();
  out.field("bytes", bytes);
  out.end(true);
}

void end_async(const char* name, std::uint64_t id) {
  if (!on()) return;
  Writer& out = writer();
  out.begin("e", name, now_ns());
  out.own_id(id);
  out.end();
}

namespace {

void flow(const char* phase, const std::string& id) {
  if (!on()) return;
  Writer& out = writer();
  out.begin(phase, "message", now_ns());
  out.field("cat", "message");
  out.field("id", id);
  if (*phase == 'f') out.field("bp", "e");
  out.end();
}

}  // namespace

void flow_out(const std::string& id) {
  flow("s", id);
}

void flow_in(const std::string& id) {
  flow("f", id);
}

}  // namespace trace

TraceSpan::TraceSpan(const char* name) noexcept
    : name_(name), begun_ns_(trace::on() ? trace::now_ns() : 0) {}

void TraceSpan::note(const char* key, std::uint64_t value) noexcept {
  (notes_[0].key == nullptr ? notes_[0] : notes_[1]) = {key, value};
}

TraceSpan::~TraceSpan() {
  if (begun_ns_ == 0 || !trace::on()) return;
  trace::Writer& out = trace::writer();
  out.begin("X", name_, begun_ns_);
  out.duration(trace::now_ns() - begun_ns_);
  const bool notes = notes_[0].key != nullptr;
  if (notes) out.open_arguments();
  for (const Note& note : notes_) {
    if (note.key != nullptr) out.field(note.key, note.value);
  }
  out.end(notes);
}

}  // namespace ps
