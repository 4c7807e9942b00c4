package enlace

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace/internal/redact"
)

// The keys of log lines, always of this meaning. A line, an audit entry and a span
// belong together when they carry the same ids.
const (
	LogTenant      = "tenant"
	LogIntegration = "integration" // its id
	LogProvider    = "provider"
	LogRequest     = "request" // Actor.Request
	LogActor       = "actor"   // Actor.ID
	LogRun         = "run"     // id of a sync run
	LogDelivery    = "delivery"
)

type workKey struct{}

// work is what a context is about.
type work struct{ run, delivery string }

func withRun(ctx context.Context, id string) context.Context {
	w, _ := ctx.Value(workKey{}).(work)
	w.run = id
	return context.WithValue(ctx, workKey{}, w)
}

func withDelivery(ctx context.Context, id string) context.Context {
	w, _ := ctx.Value(workKey{}).(work)
	w.delivery = id
	return context.WithValue(ctx, workKey{}, w)
}

// LogAttrs are the ids that a context carries: of the host's request and actor, of
// the run and of the delivery. An [Observer] gets such contexts too.
func LogAttrs(ctx context.Context) []slog.Attr {
	actor := ActorOf(ctx)
	w, _ := ctx.Value(workKey{}).(work)
	var attrs []slog.Attr
	for _, id := range [][2]string{{LogRequest, actor.Request}, {LogActor, actor.ID}, {LogRun, w.run}, {LogDelivery, w.delivery}} {
		if id[1] != "" {
			attrs = append(attrs, slog.String(id[0], id[1]))
		}
	}
	return attrs
}

// LogRecord is one log line as a page shows it.
type LogRecord struct {
	Seq     uint64            `json:"seq"` // grows by one with each line of the buffer
	At      time.Time         `json:"at"`
	Level   slog.Level        `json:"level"`
	Message string            `json:"message"`
	Attrs   map[string]string `json:"attrs,omitempty"` // groups are joined by points
}

// LogQuery selects lines. Empty fields select everything.
type LogQuery struct {
	Level slog.Level        // at least
	Attrs map[string]string // equal to these, for instance LogTenant
	Text  string            // in the message or a value, whatever the case
	After uint64            // only lines behind this Seq
	Limit int               // the newest so many; 0 is 100
}

// LogBuffer is a slog.Handler that keeps the last lines in memory, so that a page
// can show and follow them, adds the ids that the context carries (see [LogAttrs]),
// and hands every line on. What looks like a secret is masked in the lines it
// keeps; a line that enlace writes holds none in the first place. Put it into
// Config.Logger with slog.New. It is safe for concurrent use.
type LogBuffer struct {
	ring   *logRing
	next   slog.Handler
	prefix string      // of groups
	attrs  []slog.Attr // given before, with their groups in the key
}

const (
	maxLogText  = 2048 // bytes of a message or a value
	maxLogAttrs = 40
)

type logRing struct {
	mu      sync.Mutex
	lines   []LogRecord // the one with Seq stands at Seq modulo the length
	seq     uint64
	changed chan struct{} // closed with the next line
}

// NewLogBuffer returns a buffer of so many lines, 10 at least, that hands lines on
// to next; nil hands them to nobody.
func NewLogBuffer(size int, next slog.Handler) *LogBuffer {
	if next == nil {
		next = slog.DiscardHandler
	}
	return &LogBuffer{ring: &logRing{lines: make([]LogRecord, max(size, 10)), changed: make(chan struct{})}, next: next}
}

// Enabled implements slog.Handler: everything from slog.LevelInfo on, and what next wants.
func (b *LogBuffer) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || b.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (b *LogBuffer) Handle(ctx context.Context, r slog.Record) error {
	ids := LogAttrs(ctx)
	line := LogRecord{At: r.Time.UTC(), Level: r.Level, Message: logText(r.Message), Attrs: map[string]string{}}
	for _, a := range slices.Concat(b.attrs, ids) {
		line.add("", a)
	}
	r.Attrs(func(a slog.Attr) bool {
		line.add(b.prefix, a)
		return len(line.Attrs) < maxLogAttrs
	})
	b.ring.put(line)
	if !b.next.Enabled(ctx, r.Level) {
		return nil
	}
	r = r.Clone()
	r.AddAttrs(ids...)
	return b.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (b *LogBuffer) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *b
	derived.next = b.next.WithAttrs(attrs)
	derived.attrs = slices.Clone(b.attrs)
	for _, a := range attrs {
		a.Key = b.prefix + a.Key
		derived.attrs = append(derived.attrs, a)
	}
	return &derived
}

// WithGroup implements slog.Handler.
func (b *LogBuffer) WithGroup(name string) slog.Handler {
	if name == "" {
		return b
	}
	derived := *b
	derived.next = b.next.WithGroup(name)
	derived.prefix = b.prefix + name + "."
	return &derived
}

// add enters an attribute, and the members of a group one by one.
func (l *LogRecord) add(prefix string, a slog.Attr) {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range value.Group() {
			l.add(prefix, member)
		}
		return
	}
	if len(l.Attrs) < maxLogAttrs && a.Key != "" {
		l.Attrs[prefix+a.Key] = maskedValue(a.Key, value.String())
	}
}

// maskedValue masks a value by its name and by what it looks like.
func maskedValue(name, value string) string {
	pair := redact.Text(name + ": " + cutText(value, maxLogText))
	if rest, ok := strings.CutPrefix(pair, name+": "); ok {
		return rest
	}
	return pair
}

func logText(s string) string { return redact.Text(cutText(s, maxLogText)) }

func (r *logRing) put(line LogRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	line.Seq = r.seq
	r.lines[r.seq%uint64(len(r.lines))] = line
	close(r.changed)
	r.changed = make(chan struct{})
}

// Lines returns the lines that match q, oldest first. lost says that lines behind
// q.After were overwritten before they could be read.
func (b *LogBuffer) Lines(q LogQuery) (lines []LogRecord, lost bool) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	text := strings.ToLower(q.Text)
	r := b.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := uint64(1)
	if size := uint64(len(r.lines)); r.seq > size {
		oldest = r.seq - size + 1
	}
	lost = q.After > 0 && q.After+1 < oldest
	for seq := r.seq; seq >= max(oldest, q.After+1) && len(lines) < limit; seq-- {
		if line := r.lines[seq%uint64(len(r.lines))]; line.matches(q, text) {
			lines = append(lines, line)
		}
	}
	slices.Reverse(lines)
	return lines, lost
}

func (l LogRecord) matches(q LogQuery, text string) bool {
	if l.Level < q.Level {
		return false
	}
	for key, value := range q.Attrs {
		if l.Attrs[key] != value {
			return false
		}
	}
	if text == "" || strings.Contains(strings.ToLower(l.Message), text) {
		return true
	}
	for _, value := range l.Attrs {
		if strings.Contains(strings.ToLower(value), text) {
			return true
		}
	}
	return false
}

// Wait returns when there is a line behind after, or when ctx has ended.
func (b *LogBuffer) Wait(ctx context.Context, after uint64) error {
	for {
		b.ring.mu.Lock()
		seq, changed := b.ring.seq, b.ring.changed
		b.ring.mu.Unlock()
		if seq > after {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
