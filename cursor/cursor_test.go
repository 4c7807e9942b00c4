package cursor_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
	_ "time/tzdata" // zones, also where the system has none

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/cursor"
)

// Pages of a list that is ordered by time of change and id.
func Example() {
	at := func(minute int) time.Time { return time.Date(2026, 5, 1, 10, minute, 0, 0, time.UTC) }
	list := []cursor.Position{{Time: at(0), ID: "7"}, {Time: at(0), ID: "9"}, {Time: at(3), ID: "2"}}

	walk, _ := cursor.Open(enlace.PullRequest{}, at(5), 2*time.Minute)
	next := walk.Next(list[0]) // the first page holds one record
	walk, _ = cursor.Open(enlace.PullRequest{Cursor: next}, at(6), 2*time.Minute)
	fmt.Println(walk.Since().Format(time.TimeOnly), walk.Ahead(list[0]), walk.Ahead(list[1]))

	walk, _ = cursor.Open(enlace.PullRequest{Cursor: walk.End()}, at(60), 2*time.Minute)
	fmt.Println(walk.Since().Format(time.TimeOnly))
	// Output:
	// 10:00:00 false true
	// 10:03:00
}

// provider has a clock of its own and a list that moves while it is read.
type provider struct {
	random     *rand.Rand
	zone       *time.Location
	skew       time.Duration // its clock less the true time
	resolution time.Duration // of its times of change
	records    map[string]*record
	now        time.Time // true time
	lag        time.Duration
}

type record struct {
	version int
	changed time.Time // by the provider's clock
	visible time.Time // true time from when on the list shows this version
	before  *record   // what it shows until then
}

func (p *provider) clock() time.Time { return p.now.Add(p.skew).In(p.zone).Truncate(p.resolution) }

// change makes or changes a record; the list may show it late.
func (p *provider) change(id string) {
	r := &record{version: 1, changed: p.clock(), visible: p.now.Add(time.Duration(p.random.Int64N(int64(p.lag) + 1)))}
	if old := p.records[id]; old != nil {
		r.version, r.before = old.version+1, old
		if r.visible.Before(old.visible) {
			r.visible = old.visible
		}
	}
	p.records[id] = r
}

// shown is what the list shows of a record now.
func (p *provider) shown(r *record) *record {
	for r != nil && r.visible.After(p.now) {
		r = r.before
	}
	return r
}

type row struct {
	cursor.Position
	version int
}

// list gives the records changed at since or later, in order. Since is rounded down
// to seconds, as filters do.
func (p *provider) list(since time.Time, after cursor.Position, limit int) (rows []row) {
	for id, r := range p.records {
		if r = p.shown(r); r != nil && !r.changed.Before(since.Truncate(time.Second)) {
			rows = append(rows, row{cursor.Position{Time: r.changed, ID: id}, r.version})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return a.Compare(b.Position) })
	if !after.Time.IsZero() { // paging by key
		at, _ := slices.BinarySearchFunc(rows, after, func(r row, p cursor.Position) int { return r.Compare(p) })
		for at < len(rows) && rows[at].Compare(after) <= 0 {
			at++
		}
		rows = rows[at:]
	}
	return rows[:min(limit, len(rows))]
}

// TestNothingIsMissed plays random histories: ties, zones, a clock that is up to ten
// minutes wrong, changes during a walk and changes that show late. In the end the
// last version of every record has been read.
func TestNothingIsMissed(t *testing.T) {
	histories := uint64(3000)
	if n, err := strconv.ParseUint(os.Getenv("ENLACE_SCRIPTS"), 10, 32); err == nil {
		histories = n
	}
	zones := []*time.Location{time.UTC, time.FixedZone("", -3*3600), time.FixedZone("", 5*3600+45*60), must(time.LoadLocation("America/New_York"))}
	reads, repeated := 0, 0
	for seed := range histories {
		random := rand.New(rand.NewPCG(seed, 7))
		p := &provider{random: random, zone: zones[random.IntN(len(zones))], records: map[string]*record{},
			skew:       time.Duration(random.Int64N(int64(20*time.Minute))) - 10*time.Minute,
			resolution: []time.Duration{time.Second, time.Second, time.Millisecond, time.Minute}[random.IntN(4)],
			now:        time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC).Add(time.Duration(random.Int64N(int64(10 * time.Hour)))),
			lag:        []time.Duration{0, time.Second, time.Minute}[random.IntN(3)]}
		overlap := p.lag + time.Second + p.resolution
		byKey := random.IntN(2) == 0 // the provider pages by key; otherwise by the time alone
		seen := map[string]int{}
		var at enlace.Cursor
		act := func() {
			p.now = p.now.Add(time.Duration(random.Int64N(int64(30 * time.Second))))
			for range random.IntN(4) {
				p.change(strconv.Itoa(random.IntN(30)))
			}
		}
		pull := func(busy bool) {
			for page := 0; ; page++ {
				// What is sure by the Date header, which counts whole seconds.
				sure := p.now.Add(p.skew).Truncate(time.Second)
				w, err := cursor.Open(enlace.PullRequest{Cursor: at}, sure, overlap)
				if err != nil {
					t.Fatal(err)
				}
				limit, after := 200, cursor.Position{}
				if byKey {
					limit, after = 1+random.IntN(5), w.Last
				}
				rows := p.list(w.Since(), after, limit)
				full := len(rows) == limit
				for _, r := range rows {
					if !w.Ahead(r.Position) {
						continue
					}
					reads++
					if seen[r.ID] == r.version {
						repeated++
					}
					seen[r.ID] = max(seen[r.ID], r.version)
				}
				if !full {
					at = w.End()
					return
				}
				at = w.Next(rows[len(rows)-1].Position)
				if busy {
					act()
				}
				if page > 10_000 {
					t.Fatalf("seed %d: the walk does not end", seed)
				}
			}
		}
		for range 3 + random.IntN(8) {
			act()
			if random.IntN(2) == 0 {
				pull(true)
			}
		}
		p.now = p.now.Add(2 * p.lag)
		pull(false)
		for id, r := range p.records {
			if seen[id] != r.version {
				t.Fatalf("seed %d: of record %s version %d was read, there is %d", seed, id, seen[id], r.version)
			}
		}
	}
	t.Logf("%d reads, %d of them repetitions", reads, repeated)
}

func must(zone *time.Location, err error) *time.Location {
	if err != nil {
		panic(err)
	}
	return zone
}

func TestForeignCursorIsExpired(t *testing.T) {
	for _, text := range []string{"x", "{}", `{"v":1}`, `{"v":2,"mark":"2026-01-01T00:00:00Z"}`, `{"v":1,"mark":"yesterday"}`, `{"v":1,"last":{"id":"1"}}`,
		`{"v":1,"mark":"2026-01-01T00:00:00Z","last":{"id":"1"}}`} {
		if _, err := cursor.Open(enlace.PullRequest{Cursor: enlace.Cursor(text)}, time.Now(), 0); !errors.Is(err, enlace.ErrCursorExpired) {
			t.Errorf("%s: %v, want ErrCursorExpired", text, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	walk := cursor.Walk{From: time.Unix(0, 0), Began: time.Unix(9, 0)}
	f.Add(string(walk.End()))
	f.Add(string(walk.Next(cursor.Position{Time: time.Unix(5, 0), ID: "é\""})))
	f.Fuzz(func(t *testing.T, text string) {
		w, err := cursor.Open(enlace.PullRequest{Cursor: enlace.Cursor(text)}, time.Unix(50, 0), time.Minute)
		if err != nil || text == "" {
			return
		}
		if w.Last != (cursor.Position{}) {
			again, err := cursor.Open(enlace.PullRequest{Cursor: w.Next(w.Last)}, time.Unix(99, 0), time.Hour)
			if err != nil || again != w {
				t.Errorf("%+v comes back as %+v, %v", w, again, err)
			}
		}
	})
}
