package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// tick is something that one process of several does when its time comes.
type tick struct {
	Process  int
	Schedule string // that was due; empty for a health check
	Run      string // that the schedule started
	Skipped  string // why it started none
}

// leading carries out the background work and tells of each tick, until it is killed.
func leading(ctx context.Context, e environment) error {
	key, err := enlace.ParseKey(enlace.NewSecret(e.Key))
	if err != nil {
		return err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	tell := func(t tick) {
		mu.Lock()
		defer mu.Unlock()
		t.Process = os.Getpid()
		_ = report(t)
	}
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(adapter{}), Store: e.store, Keys: keys,
		OAuth:          map[string]enlace.OAuthApp{adapterName: {ClientID: "app", ClientSecret: enlace.NewSecret("app-secret"), TokenURL: e.Token}},
		Sink:           enlace.SinkFunc(func(context.Context, enlace.Batch) (enlace.Changes, error) { return enlace.Changes{}, nil }),
		HealthInterval: time.Second,
		Egress:         enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Observer: func(_ context.Context, o enlace.Observation) {
			switch o := o.(type) {
			case enlace.HealthChecked:
				tell(tick{})
			case enlace.ScheduleDue:
				tell(tick{Schedule: o.ScheduleID, Run: o.RunID, Skipped: o.Skipped})
			}
		}})
	if err != nil {
		return err
	}
	return service.Run(ctx)
}

// leaders are processes of which one leads.
type leaders struct {
	t        *testing.T
	e        environment
	children map[int]*child // by process id
	ticks    chan tick
	leader   int // the process that checks health
	starter  int // the process that has started a schedule's run last
	// handedOver is how often the lead was handed over although nobody was killed, as it is
	// when a process has not come to renew its lease in time.
	handedOver int
}

// startOne starts a process and hands on what it tells.
func (l *leaders) startOne() {
	c := l.e.start(l.t, "leading")
	l.children[c.cmd.Process.Pid] = c
	go func() { // ends with the process
		lines := bufio.NewScanner(c.out)
		for lines.Scan() {
			var k tick
			if json.Unmarshal(lines.Bytes(), &k) == nil {
				l.ticks <- k
			}
		}
	}()
}

// next waits for a tick of a process that lives.
func (l *leaders) next() tick {
	l.t.Helper()
	for {
		select {
		case k := <-l.ticks:
			if l.children[k.Process] != nil {
				return k
			}
		case <-l.t.Context().Done():
			l.t.Fatal("no tick came")
		case <-time.After(2 * time.Minute):
			l.t.Fatal("no tick came within two minutes")
		}
	}
}

// killLeader kills the processes that lead, has the schedule become due, and waits for
// what others do then: for how long, for a health check and for the schedule's run.
func (l *leaders) killLeader(schedule enlace.Schedule) (health, due time.Duration, started tick) {
	l.t.Helper()
	for _, process := range []int{l.leader, l.starter} {
		if c := l.children[process]; c != nil {
			c.kill()
			delete(l.children, process)
			l.startOne()
		}
	}
	l.leader = 0
	began := time.Now()
	schedule, err := l.e.service.Schedule(l.t.Context(), schedule.Ref.Tenant, schedule.ID)
	if err != nil {
		l.t.Fatal(err)
	}
	schedule.NextAt = began
	if err := l.e.store.SaveSchedule(l.t.Context(), schedule); err != nil {
		l.t.Fatal(err)
	}
	for l.leader == 0 || started.Schedule == "" {
		k := l.next()
		switch {
		case k.Schedule != "" && started.Schedule != "":
			l.t.Errorf("the time of the schedule has come twice: %+v, %+v", started, k)
		case k.Schedule != "":
			due, started, l.starter = time.Since(began), k, k.Process
		case l.leader == 0:
			health, l.leader = time.Since(began), k.Process
		case l.leader != k.Process:
			l.handedOver++
			l.leader = k.Process
		}
	}
	return health, due, started
}

// When the process that leads is killed, another one goes on, and nothing is done by two
// of them. ENLACE_E2E_LEADERS is how often; with it the time is looked at too, which must
// be 20 seconds at most, and that nobody else checks health meanwhile.
func TestKilledLeader(t *testing.T) {
	t.Parallel() // it mostly waits
	_, measured := os.LookupEnv("ENLACE_E2E_LEADERS")
	times := numberFrom(t, "ENLACE_E2E_LEADERS", 1)
	p := newProvider(t, 0, 0)
	e := environment{Store: "postgres", Address: stores["postgres"].prepare(t), Lease: 15 * time.Second, Key: enlace.GenerateKey().Reveal()}
	e.use(t, p, p.current(time.Now().Add(-time.Hour)))
	schedule, err := e.service.SaveSchedule(t.Context(), enlace.Schedule{Ref: e.Ref, Spec: "0 0 1 1 *"})
	if err != nil {
		t.Fatal(err)
	}
	l := &leaders{t: t, e: e, children: map[int]*child{}, ticks: make(chan tick, 1000)}
	for range 3 {
		l.startOne()
	}
	l.leader = l.next().Process
	var slowestHealth, slowestDue time.Duration
	runs := map[string]bool{}
	for range times {
		health, due, started := l.killLeader(schedule)
		slowestHealth, slowestDue = max(slowestHealth, health), max(slowestDue, due)
		if started.Skipped == "" {
			runs[started.Run] = true
		}
	}
	t.Logf("the leader was killed %d times: the next health check came within %v, a schedule's run within %v", times, slowestHealth, slowestDue)
	if measured && max(slowestHealth, slowestDue) > 20*time.Second {
		t.Error("that is more than 20 s")
	}
	if measured && l.handedOver > 0 {
		t.Errorf("the lead was handed over %d times without need, or two processes led", l.handedOver)
	}
	stored, _, err := e.service.Runs(t.Context(), enlace.RunQuery{Tenant: e.Ref.Tenant})
	if err != nil || len(stored) != len(runs) {
		t.Errorf("%d runs are stored, and processes have told of %d; %v", len(stored), len(runs), err)
	}
	after, err := e.service.Schedule(t.Context(), e.Ref.Tenant, schedule.ID)
	if err != nil || after.Version != schedule.Version+2*int64(times) {
		t.Errorf("the schedule was saved %d times, want twice for each time: to make it due, and when it had come; %v", after.Version-schedule.Version, err)
	}
}
