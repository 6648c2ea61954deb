#include "options.h"

#include <arpa/inet.h>

#include <cmath>

#include "error.h"
#include "text.h"

namespace edgetune {

const char kHelp[] =
    "Usage: edgetune-agent [OPTIONS]\n"
    "       edgetune-agent measure BATCH RESULTS\n"
    "\n"
    "Runs on a board what `edgetune` at the desk sends: packages, candidates of tuning. See docs/agent-protocol.md.\n"
    "\n"
    "  --port N                 the TCP port; 0: any free one (default 9090)\n"
    "  --key K                  the board's name at the tracker (default edgetune)\n"
    "  --tracker HOST:PORT      register there; direct sessions are refused then\n"
    "  --listen ADDRESS         the address to listen on (default 127.0.0.1); needs --insecure unless it is loopback\n"
    "  --insecure               whoever reaches that address may run code on this machine\n"
    "  --session-limit SECONDS  the longest that a session may last (default 3600)\n"
    "  --memory-limit BYTES     a session's address space, such as 2G or 512M (default: no limit)\n"
    "  --until-eof              end when standard input is closed\n"
    "  --heartbeat SECONDS      with --until-eof: end, too, when nothing comes on standard input for so long\n"
    "  --version                say the version\n"
    "  --help                   this\n";

namespace {

constexpr double kLeastMemory = 128 << 20;

int port_of(const char* option, std::string_view text, long long lowest) {
  const auto port = parse_integer(text, lowest, 65535);
  if (!port)
    throw UsageError(format("%s %s: a port is a number from %lld to 65535", option, std::string(text).c_str(), lowest));
  return static_cast<int>(*port);
}

std::string key_of(const std::string& text) {
  const bool known = text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                     std::string::npos;
  if (text.empty() || text.size() > 64 || !known)
    throw UsageError("--key " + text + ": a key is 1 to 64 letters, digits, '.', '_' and '-'");
  return text;
}

std::pair<std::string, int> host_and_port(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    throw UsageError("--tracker " + text + ": give HOST:PORT, such as 192.168.1.10:9190");
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return {host, port_of("--tracker", text.substr(colon + 1), 1)};
}

long long bytes_of(const std::string& text) {
  std::string_view rest = text;
  const auto take = [&](std::string_view letters) {
    const std::size_t found = rest.empty() ? std::string_view::npos : letters.find(rest.back());
    if (found != std::string_view::npos) rest.remove_suffix(1);
    return found == std::string_view::npos ? -1 : static_cast<int>(found) / 2;
  };
  take("Bb");
  take("ii");
  const int unit = take("KkMmGgTt");
  const auto number = parse_number(rest);
  const double bytes = std::ldexp(number.value_or(0), 10 * (unit + 1));
  if (!number || bytes > 9e15) throw UsageError("--memory-limit " + text + ": give bytes, or a size such as 512M or 2G");
  if (bytes < kLeastMemory) throw UsageError("--memory-limit " + text + ": TVM itself takes more; give at least 128M");
  return static_cast<long long>(bytes);
}

bool is_numeric(const std::string& address) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, address.c_str(), bytes) == 1 || inet_pton(AF_INET6, address.c_str(), bytes) == 1;
}

}  // namespace

bool is_loopback(const std::string& address) {
  return address == "::1" || (starts_with(address, "127.") && is_numeric(address));
}

Options parse_options(int count, char** arguments) {
  Options options;
  bool listens = false;
  for (int k = 1; k < count; ++k) {
    const std::string whole = arguments[k];
    const std::size_t equals = whole.find('=');
    const std::string name = whole.substr(0, equals);
    const auto value = [&]() -> std::string {
      if (equals != std::string::npos) return whole.substr(equals + 1);
      if (++k >= count) throw UsageError(name + " needs a value; see --help");
      return arguments[k];
    };
    if (equals != std::string::npos && (name == "--insecure" || name == "--until-eof"))
      throw UsageError(name + " takes no value");
    if (name == "--port") {
      options.port = port_of("--port", value(), 0);
    } else if (name == "--key") {
      options.key = key_of(value());
    } else if (name == "--tracker") {
      options.tracker = host_and_port(value());
    } else if (name == "--listen") {
      options.listen = value();
      listens = true;
      if (!is_numeric(options.listen))
        throw UsageError("--listen " + options.listen + ": give an IP address of this machine, or 0.0.0.0 for all");
    } else if (name == "--session-limit") {
      const std::string text = value();
      const auto seconds = parse_number(text);
      if (!seconds || *seconds <= 0) throw UsageError("--session-limit " + text + ": give a number of seconds");
      options.session_limit = *seconds;
    } else if (name == "--heartbeat") {
      const std::string text = value();
      const auto seconds = parse_number(text);
      if (!seconds || *seconds < 0.1) throw UsageError("--heartbeat " + text + ": give a number of seconds, 0.1 or more");
      options.heartbeat = *seconds;
    } else if (name == "--memory-limit") {
      options.memory_limit = bytes_of(value());
    } else if (name == "--insecure") {
      options.insecure = true;
    } else if (name == "--until-eof") {
      options.until_eof = true;
    } else if (name == "--help" || name == "-h") {
      options.help = true;
    } else if (name == "--version") {
      options.version = true;
    } else {
      throw UsageError("there is no option " + name + "; see --help");
    }
  }
  if (options.heartbeat && !options.until_eof)
    throw UsageError("--heartbeat is of standard input: give --until-eof, too");
  if (options.insecure && !listens)
    throw UsageError("--insecure is for --listen ADDRESS: without it the agent is reached from this machine only");
  if (!is_loopback(options.listen) && !options.insecure && !options.help && !options.version)
    throw UsageError("--listen " + options.listen +
                     ": whoever reaches this address could run code on this machine; use an SSH tunnel to the loopback "
                     "address instead, or add --insecure in a network that you trust");
  return options;
}

}  // namespace edgetune
