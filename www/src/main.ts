import { StormPanel } from "./storm-panel.js";
import { TrafficPanel } from "./traffic-panel.js";
import { paint, everyMs } from "./frame.js";
import { Probe } from "./probe.js";

const probe = new Probe();
const storm = new StormPanel(probe);
const traffic = new TrafficPanel(probe, () => paint(measure));

// A batch of hits now and then, until there are enough of them to tell; more while there is traffic.
const due = everyMs(50);
const late = everyMs(500);
const measure = (now: number): boolean => {
  if (probe.full ? late(now) : due(now)) {
    probe.sample();
    storm.figuresChanged();
    traffic.figuresChanged();
  }
  return !probe.full || traffic.running;
};
paint(measure);
document.documentElement.dataset.ready = "true";

// The tiers' code and their wasm come after all else, from a file of their own.
void import("./layers-panel.js").then(({ LayersPanel }) => new LayersPanel());
