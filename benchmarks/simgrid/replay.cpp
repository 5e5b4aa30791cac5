// Replays a list of flows in SimGrid's flow-level engine: for comparing speed and finish times.
//
//     replay LINKS.csv FLOWS.csv FINISH.txt
//
// LINKS has the columns bandwidth_Bps and latency_s (optional), FLOWS the columns bytes, start
// and path (link indices with spaces between them); other columns are skipped. The model is plain
// max-min: network/model CM02 and all correction factors off.
//
// One actor sleeps until the next start and launches a one-sided communication, which is the
// lightest public way: no mailbox, no actor per flow; only those still under way after the last
// start are waited for. Each distinct path is the up-route of a host of its own in a star zone, so
// that looking a route up costs O(its links).
//
// The CPU time printed is that of Engine::run() alone, of this process: reading the tables and
// building the platform come before it, reading the finish times and writing them after it.
#include <simgrid/s4u.hpp>
#include <xbt/log.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sg = simgrid::s4u;

using Columns = std::unordered_map<std::string, std::vector<std::string>>;

struct Flow {
  double start_s;
  uint64_t bytes;
  sg::Host* source;
};

static std::vector<std::string> split(const std::string& line, char separator)
{
  std::vector<std::string> cells;
  std::stringstream stream(line);
  for (std::string cell; std::getline(stream, cell, separator);)
    cells.push_back(cell);
  return cells;
}

static Columns read_columns(const char* path)
{
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line))
    throw std::runtime_error(std::string("cannot read a header from ") + path);
  const std::vector<std::string> names = split(line, ',');
  Columns columns;
  for (const std::string& name : names)
    columns[name];
  while (std::getline(file, line)) {
    const std::vector<std::string> cells = split(line, ',');
    for (size_t i = 0; i < names.size(); ++i)
      columns[names[i]].push_back(i < cells.size() ? cells[i] : "");
  }
  return columns;
}

// Turn SimGrid's corrections for TCP off. With its default precision (1e-5 s in 3.32, 1e-9 s later)
// completions so close to each other become one, which is quicker but not the same answer.
static void configure()
{
  xbt_log_control_set("root.thresh:warning");
  const std::pair<const char*, const char*> options[] = {
      {"network/model", "CM02"},       {"network/TCP-gamma", "0"}, {"network/bandwidth-factor", "1"},
      {"network/latency-factor", "1"}, {"network/weight-S", "0"},  {"network/crosstraffic", "0"},
      {"surf/precision", "1e-12"}};
  for (const auto& [name, value] : options)
    sg::Engine::set_config(std::string(name) + ":" + value);
}

static std::vector<sg::LinkInRoute> make_links(sg::NetZone* zone, const Columns& table)
{
  const std::vector<std::string>& bandwidths = table.at("bandwidth_Bps");
  const auto latencies                       = table.find("latency_s");
  std::vector<sg::LinkInRoute> links;
  for (size_t i = 0; i < bandwidths.size(); ++i) {
    sg::Link* link = zone->create_link("link" + std::to_string(i), std::stod(bandwidths[i]));
    link->set_latency(latencies == table.end() ? 0.0 : std::stod(latencies->second[i]));
    links.emplace_back(link->seal());
  }
  return links;
}

static std::vector<Flow> make_flows(sg::NetZone* zone, const Columns& table,
                                    const std::vector<sg::LinkInRoute>& links)
{
  const std::vector<std::string>&paths = table.at("path"), &bytes = table.at("bytes"), &starts = table.at("start");
  std::unordered_map<std::string, sg::Host*> sources;
  std::vector<Flow> flows;
  for (size_t row = 0; row < paths.size(); ++row) {
    sg::Host*& source = sources[paths[row]];
    if (source == nullptr) {
      source = zone->create_host("source" + std::to_string(sources.size()), 1e9)->seal();
      std::vector<sg::LinkInRoute> route;
      for (const std::string& link : split(paths[row], ' '))
        route.push_back(links.at(std::stoul(link)));
      zone->add_route(source->get_netpoint(), nullptr, nullptr, nullptr, route, false);
      zone->add_route(nullptr, source->get_netpoint(), nullptr, nullptr, {}, false);
    }
    flows.push_back({std::stod(starts[row]), static_cast<uint64_t>(std::stod(bytes[row]) + 0.5), source});
  }
  return flows;
}

static void launch(const std::vector<Flow>* flows, sg::Host* sink, std::vector<sg::CommPtr>* comms)
{
  std::vector<size_t> order(flows->size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [flows](size_t one, size_t other) { return (*flows)[one].start_s < (*flows)[other].start_s; });
  for (const size_t row : order) {
    const Flow& flow = (*flows)[row];
    if (flow.start_s > sg::Engine::get_clock())
      sg::this_actor::sleep_until(flow.start_s);
    (*comms)[row] = sg::Comm::sendto_async(flow.source, sink, flow.bytes);
  }
  for (const sg::CommPtr& comm : *comms)
    if (comm->get_finish_time() < 0)
      comm->wait();
}

static double cpu_s()
{
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

int main(int argc, char** argv)
{
  sg::Engine engine(&argc, argv);
  if (argc != 4) {
    std::fprintf(stderr, "usage: replay LINKS.csv FLOWS.csv FINISH.txt\n");
    return 2;
  }
  configure();
  sg::NetZone* zone = sg::create_star_zone("network");
  const auto links  = make_links(zone, read_columns(argv[1]));
  const auto flows  = make_flows(zone, read_columns(argv[2]), links);
  sg::Host* sink    = zone->create_host("sink", 1e9)->seal();
  zone->add_route(sink->get_netpoint(), nullptr, nullptr, nullptr, {}, false);
  zone->add_route(nullptr, sink->get_netpoint(), nullptr, nullptr, {}, false);
  zone->seal();

  std::vector<sg::CommPtr> comms(flows.size());
  sg::Actor::create("launcher", sink, launch, &flows, sink, &comms);
  const double before_s = cpu_s();
  engine.run();
  std::printf("cpu_s %.9f\nflows %zu\n", cpu_s() - before_s, flows.size());

  std::FILE* out = std::fopen(argv[3], "w");
  if (out == nullptr)
    return 1;
  for (const sg::CommPtr& comm : comms)
    std::fprintf(out, "%.15g\n", comm->get_finish_time());
  return std::fclose(out);
}
