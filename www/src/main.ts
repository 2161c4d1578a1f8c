import { StormPanel } from "./storm-panel.js";
import { TrafficPanel } from "./traffic-panel.js";
import { paint, everyMs } from "./frame.js";
import { Probe } from "./probe.js";

const probe = new Probe();
const storm = new StormPanel(probe);
const traffic = new TrafficPanel(probe);

// A batch of hits now and then, until there are enough of them to tell; more while there is traffic.
const due = everyMs(80);
const late = everyMs(500);
paint(function measure(now) {
  if (probe.full ? traffic.running && late(now) : due(now)) {
    probe.sample();
    storm.figuresChanged();
    traffic.figuresChanged();
  }
  return true;
});
document.documentElement.dataset.ready = "true";
