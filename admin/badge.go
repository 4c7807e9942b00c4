package admin

import (
	"fmt"
	"html/template"
)

// icons are the paths of small drawings, 16 by 16, in the colour of the text.
var icons = map[string]string{
	"home":    "M2 7.5 8 2.5l6 5V14h-4v-4H6v4H2z",
	"plug":    "M5 2v4M11 2v4M3.5 6h9v2.5a4.5 4.5 0 0 1-9 0zM8 13v2",
	"sync":    "M13.5 6A6 6 0 0 0 3 4.5M2.5 10A6 6 0 0 0 13 11.5M3 1.5v3h3M13 14.5v-3h-3",
	"pulse":   "M1.5 8.5h3l2-5 3 9 2-4h3",
	"chart":   "M2 14h12M4 11V8M8 11V3M12 11V6",
	"console": "M2 3h12v10H2zM4.5 6l2 2-2 2M8.5 10.5h3",
	"hook":    "M8 5.5a2 2 0 1 0-2 2M6.8 7.2 4 12M10 12.5H5M11 9.5a2 2 0 1 1-1 3M11 9.5 9 5.5",
	"log":     "M3 2.5h10v11H3zM5.5 5.5h5M5.5 8h5M5.5 10.5h3",
	"shield":  "M8 1.5 13.5 4v4c0 3-2.3 5.3-5.5 6.5C4.8 13.3 2.5 11 2.5 8V4zM5.5 8l2 2 3-4",
	"flag":    "M4 14.5v-13h8l-2 3 2 3H4",
	"map":     "M2 4h4l4 8h4M2 12h4l1-2M9 6l1-2h4",
	"code":    "M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5",
	"gear":    "M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM8 1.5v2M8 12.5v2M1.5 8h2M12.5 8h2M3.4 3.4l1.4 1.4M11.2 11.2l1.4 1.4M3.4 12.6l1.4-1.4M11.2 4.8l1.4-1.4",
	"check":   "M3 8.5 6.5 12 13 4.5",
	"cross":   "M4 4l8 8M12 4l-8 8",
	"warn":    "M8 2 15 14H1zM8 6.5v3.5M8 12v.5",
	"dash":    "M3.5 8h9",
	"clock":   "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.5V8l2.5 1.5",
	"key":     "M10.5 2.5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8.3 7.7 2.5 13.5M4 12l1.5 1.5",
	"plus":    "M8 3v10M3 8h10",
	"pause":   "M5.5 3.5v9M10.5 3.5v9",
	"play":    "M5 3l8 5-8 5z",
	"back":    "M9.5 3 4.5 8l5 5",
	"copy":    "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
	"out":     "M8 10.5v-8M4.5 6 8 2.5 11.5 6M2.5 10v3.5h11V10",
	"fork":    "M4 2v4l4 3v5M12 2v4L8 9",
	"undo":    "M3 6h7a3.5 3.5 0 1 1 0 7H6M6 3 3 6l3 3",
	"heart":   "M8 13.5 2.8 8.3a3.2 3.2 0 0 1 4.5-4.5L8 4.5l.7-.7a3.2 3.2 0 0 1 4.5 4.5zM6 8h4M8 6v4",
	"off":     "M8 2v5M4.5 4.5a5 5 0 1 0 7 0",
}

func icon(name string) template.HTML {
	return template.HTML(`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d="` + icons[name] + `"/></svg>`)
}

// look is how a state shows: never by its colour alone.
type look struct{ tone, icon string }

// looks are the states of everything, by group and word. The word itself is in
// the catalog as "state.<group>.<state>".
var looks = map[string]map[string]look{
	"integration": {
		"connected": {"good", "check"}, "pending": {"quiet", "clock"}, "needs_reauth": {"bad", "key"}, "misconfigured": {"bad", "cross"},
		"in_doubt": {"warn", "warn"}, "disabled": {"quiet", "off"},
	},
	"run": {
		"running": {"busy", "sync"}, "complete": {"good", "check"}, "partial": {"good", "dash"}, "failed": {"bad", "cross"},
		"canceled": {"quiet", "off"}, "interrupted": {"warn", "warn"}, "waiting": {"busy", "clock"}, "paused": {"warn", "pause"},
	},
	"audit":    {"done": {"good", "check"}, "failed": {"bad", "cross"}, "refused": {"warn", "warn"}, "begun": {"busy", "clock"}},
	"flag":     {"on": {"good", "check"}, "off": {"bad", "off"}},
	"test":     {"running": {"busy", "sync"}, "succeeded": {"good", "check"}, "failed": {"bad", "cross"}, "canceled": {"quiet", "off"}},
	"health":   {"healthy": {"good", "check"}, "warning": {"warn", "warn"}, "error": {"bad", "cross"}, "unknown": {"quiet", "dash"}},
	"delivery": {"received": {"busy", "clock"}, "processing": {"busy", "sync"}, "failed": {"warn", "warn"}, "done": {"good", "check"}, "dead": {"bad", "cross"}},
	"proof":    {"signed": {"good", "shield"}, "token": {"quiet", "key"}},
	"plan": {
		"ready": {"good", "check"}, "create": {"good", "plus"}, "update": {"busy", "sync"}, "delete": {"bad", "cross"}, "skip": {"quiet", "dash"},
		"conflict": {"warn", "warn"},
	},
	"attention": {"behind": {"warn", "clock"}, "expiring": {"warn", "key"}, "breaker": {"bad", "cross"}},
	"preview": {
		"create": {"good", "plus"}, "update": {"busy", "sync"}, "delete": {"bad", "cross"}, "unchanged": {"quiet", "check"}, "skip": {"quiet", "dash"},
		"conflict": {"warn", "warn"}, "refused": {"bad", "warn"},
	},
	"outbox":   {"dead": {"bad", "cross"}, "in_doubt": {"warn", "warn"}, "failing": {"warn", "clock"}, "queued": {"busy", "clock"}},
	"refused":  {"waiting": {"busy", "clock"}, "dead": {"bad", "cross"}},
	"schedule": {"active": {"good", "clock"}, "paused": {"warn", "pause"}},
	"conflict": {"open": {"warn", "warn"}, "decided": {"busy", "clock"}, "resolved": {"good", "check"}},
	"mapping":  {"draft": {"quiet", "dash"}, "active": {"good", "check"}, "retired": {"quiet", "off"}},
	"step":     {"ok": {"good", "check"}, "failed": {"bad", "cross"}, "skipped": {"quiet", "dash"}, "running": {"busy", "sync"}},
}

// badge draws a state as icon and word.
func badge(t translator, group string, state any) template.HTML {
	name := fmt.Sprint(state)
	l, ok := looks[group][name]
	if !ok {
		l = look{"quiet", "dash"}
	}
	return template.HTML(`<span class="badge `+l.tone+`">`) + icon(l.icon) +
		template.HTML(template.HTMLEscapeString(t.optional("state."+group+"."+name, name))+`</span>`)
}

// dot draws a state of health as an icon, with its word for those who do not see it.
func dot(t translator, state, detail string) template.HTML {
	l, ok := looks["health"][state]
	if !ok {
		l = look{"quiet", "dash"}
	}
	word := t.optional("state.health."+state, state)
	if detail != "" {
		detail = word + ": " + short(detail, 200)
	} else {
		detail = word
	}
	return template.HTML(`<span class="badge dot `+l.tone+`" title="`+template.HTMLEscapeString(detail)+`">`) + icon(l.icon) +
		template.HTML(`<span class="hidden">`+template.HTMLEscapeString(word)+`</span></span>`)
}
