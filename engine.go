package enlace

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// Engine decides where and when the work of [Service.Run] is carried out: webhook
// deliveries, queued runs, outboxes, and events that providers keep. What there is
// to do stands in the store. A job only reminds of it, and each kind has a look-up
// that finds what was forgotten, so that no promise depends on an engine.
//
// [NewEngine] makes the one for a single process, which is what a service without
// [Config.Engine] has: several processes with one store share the work too, since
// each of them looks it up. Package engine/river spreads jobs over many machines.
// Package engine/enginetest is the suite that both of them pass.
//
// Every method is safe for concurrent use.
type Engine interface {
	// Register makes kinds of jobs known. It is called before Start and Enqueue, by
	// New, in each process and with the same kinds: whichever process gets a job
	// can do it. Errors: ErrInvalid for a kind without a name or Work, or
	// one that is known already.
	Register(kinds ...JobKind) error

	// Enqueue has each job carried out once or more, in any process that has
	// started the engine, and not before its At. With the context of a transaction
	// of the store ([Transactor]) the jobs are part of it: they begin after the commit,
	// and never if there is none. A job is left out while one of the same Kind and
	// Key waits, also for the end of a [RunAgain]. One that is at work does not count as
	// waiting: the job is done once more. Errors: ErrInvalid for a kind that is not
	// registered; ErrStore.
	Enqueue(ctx context.Context, jobs ...Job) error

	// Start begins to carry out jobs and returns. When ctx ends, the contexts of
	// the work that is under way end too, and nothing new is begun.
	Start(ctx context.Context) error

	// Stop begins nothing new and waits until the work under way has ended. If ctx
	// ends first, the contexts of that work end, and the error is ErrCanceled. A job
	// that is cut off is done again. An engine that was not started has stopped.
	Stop(ctx context.Context) error
}

// Job reminds of work that is in the store. It holds names only: no customer's
// data and no secret.
type Job struct {
	Kind string    // a JobKind's Name
	Key  string    // which work of that kind; the kind decides what it means
	At   time.Time // not before; zero is at once
}

// JobKind is a kind of jobs, and how they are done.
type JobKind struct {
	Name    string // 2 to 40 lower-case letters
	Workers int    // how many jobs of the kind this process does at once; 0 leaves them to others

	// Work does a job. After nil it is done. After a [RunAgain] it comes again when
	// that time has passed. After another error, or a panic, it comes again too,
	// with growing pauses of a minute at most; an engine may give it up after many,
	// and leaves the rest to the kind's look-up.
	//
	// A job may be done twice, in two processes at once too, if the first one is
	// cut off or takes longer than its engine bears. So Work is idempotent, and
	// what must not be done by two at once is under a lease.
	Work func(ctx context.Context, job Job) error
}

// RunAgain is what [JobKind].Work returns to have the job once more, when that time
// has passed. Until then it waits, whoever enqueues it, and so does one that was
// enqueued while it was at work.
type RunAgain time.Duration

func (d RunAgain) Error() string { return "again in " + time.Duration(d).String() }

// Check finds what is wrong with a kind. It is for engines, whose Register calls it.
// Errors: [*ValidationError].
func (k JobKind) Check() error {
	var faults ValidationError
	if len(k.Name) < 2 || len(k.Name) > 40 || strings.Trim(k.Name, "abcdefghijklmnopqrstuvwxyz") != "" {
		faults.add("Name", "not a name", "2 to 40 lower-case letters")
	}
	if k.Workers < 0 {
		faults.add("Workers", "negative", "0 or more")
	}
	if k.Work == nil {
		faults.add("Work", "missing", "a function")
	}
	return faults.orNil()
}

// jobKey joins names to a key that names nothing else.
func jobKey(names ...string) string {
	for i, name := range names {
		names[i] = url.QueryEscape(name)
	}
	return strings.Join(names, "/")
}

// keyNames takes a key of jobKey apart into so many names; ok is false for any other.
func keyNames(key string, count int) (names []string, ok bool) {
	names = strings.Split(key, "/")
	for i, name := range names {
		var err error
		if names[i], err = url.QueryUnescape(name); err != nil {
			return nil, false
		}
	}
	return names, len(names) == count
}
