#include "offline.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "batch.h"
#include "clocks.h"
#include "error.h"
#include "folder.h"
#include "forked_answer.h"
#include "gpu.h"
#include "identity.h"
#include "results.h"
#include "sensors.h"
#include "signals.h"
#include "text.h"
#include "worker.h"

namespace edgetune {

namespace {

constexpr double kGpuSeconds = 20;
constexpr double kLineEvery = 10;  // seconds between two lines of progress

json::Value own_identity() {
  if (!has_gpu_device()) return identity({});
  ForkedAnswer question([] {}, [] { return find_gpu().dump(); }, kGpuSeconds);
  while (!question.answer()) {
    Events events;
    question.watch(events);
    events.wait();
  }
  return identity(question.answer()->empty() ? json::Value() : json::Value::parse(*question.answer()));
}

void must_fit(const Batch& batch, const json::Value& board) {
  const std::string machine = board["machine"].as_string();
  if (batch.machine() != machine)
    throw Error(batch.path() + " is for " + batch.machine() + ", and this machine is " + machine);
  const auto cores = static_cast<long long>(board["cores"].as_number());
  if (cores < batch.threads())
    throw Error(format("%s was made to compute with %lld threads, and this machine has %lld cores: export it with "
                       "--threads %lld", batch.path().c_str(), batch.threads(), cores, cores));
}

}  // namespace

int measure_batch(const std::string& batch_path, const std::string& results_path) {
  const Batch batch(batch_path);
  const json::Value board = own_identity();
  must_fit(batch, board);
  Results results(results_path, batch.id(), board);
  const std::size_t all = batch.jobs().size(), before = results.done().size();
  std::size_t known = 0;
  for (const BatchJob& job : batch.jobs()) known += results.done().count(job.id);
  if (known != before) throw Error(results_path + " holds results of jobs that are not in this batch: give another name");

  const Descriptor signals = catch_signals(false);
  const ScratchFolder scratch;
  const std::string folder = scratch.make("measuring");
  Worker worker(folder);
  double said = now();
  for (std::size_t k = 0; k < all; ++k) {
    const BatchJob& job = batch.jobs()[k];
    if (results.done().count(job.id)) continue;
    const std::string library = folder + format("/%zu.so", k);
    batch.extract(job, library);
    const Worker::Outcome outcome = worker.measure(job.request, library, job.limit_seconds, signals);
    unlink(library.c_str());
    if (outcome.interrupted) {
      std::fprintf(stderr, "ended: %zu of %zu are in %s, and the same command goes on\n", results.done().size(), all,
                   results_path.c_str());
      return 128 + asked_to_end(signals);
    }
    const Readings heat = temperatures("");
    results.add(job.id, job.sha256, outcome.seconds, outcome.error,
                heat.empty() ? std::nullopt : std::make_optional(heat.highest()));
    if (now() - said < kLineEvery) continue;
    said = now();
    std::fprintf(stderr, "measured %zu of %zu, %zu failed\n", results.done().size(), all, results.failed());
  }
  std::fprintf(stderr, "%s: %zu candidates measured, %zu of them before, %zu failed\n", results_path.c_str(),
               results.done().size(), before, results.failed());
  return 0;
}

}  // namespace edgetune
