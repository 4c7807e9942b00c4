package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// answer is what became of one method call: of a request, or of a command in a batch.
type answer struct {
	result json.RawMessage
	next   int64 // where the next page of a classic list begins; 0 if there is none
	timing timing
	err    error
}

// read calls a method that changes nothing, and decodes its result into out, which
// may be nil or a *json.RawMessage.
func read(ctx context.Context, c *enlace.Conn, method string, params map[string]any, out any) error {
	return decodeResult(method, send(ctx, c, command{method: method, params: params, repeatable: true}), out)
}

// write calls a method that changes something; repeatable says that calling it
// twice does no more than once.
func write(ctx context.Context, c *enlace.Conn, method string, params map[string]any, repeatable bool, out any) error {
	return decodeResult(method, send(ctx, c, command{method: method, params: params, writes: true, repeatable: repeatable}), out)
}

func decodeResult(method string, a answer, out any) error {
	if a.err != nil || out == nil {
		return a.err
	}
	if raw, ok := out.(*json.RawMessage); ok {
		*raw = a.result
		return nil
	}
	if err := json.Unmarshal(a.result, out); err != nil {
		return &enlace.Error{Provider: Name, Op: method, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan,
			Message: "the result is not of the expected form"}
	}
	return nil
}

// send carries out one command by a request of its own, within the method's
// allowance of run time.
func send(ctx context.Context, c *enlace.Conn, cmd command) answer {
	release, err := reserve(ctx, c, []string{cmd.method}, leastCost)
	if err != nil {
		return answer{err: err}
	}
	request := call(cmd.method, cmd.params)
	request.Idempotent = cmd.repeatable
	var body json.RawMessage
	if err := c.Do(ctx, request, &body); err != nil {
		release(nil)
		reportBlocked(c, cmd.method, err)
		return answer{err: err}
	}
	a := scanAnswer(cmd.method, body)
	release(map[string]timing{cmd.method: a.timing})
	return a
}

// scanAnswer takes result and time out of an envelope (sheet 2.2).
func scanAnswer(method string, body []byte) answer {
	var a answer
	s := rawjson.NewScanner(body)
	for key := range s.Object() {
		switch string(key) {
		case "result":
			a.result = s.Value()
		case "next":
			a.next, _ = rawjson.Int(s.Value())
		case "time":
			a.timing = scanTiming(s)
		}
	}
	if s.End() != nil || a.result == nil {
		return answer{err: noAnswer(method)}
	}
	return a
}

// noAnswer is for an answer that tells nothing about what was asked: it may have run.
func noAnswer(method string) error {
	return &enlace.Error{Provider: Name, Op: method, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeUnknown,
		Message: "the answer holds no result"}
}

// reserve waits until each of the methods may use the portal's run time again, and
// returns what to call with the times that the answer brought. Methods must be
// sorted: so two callers never wait for each other.
func reserve(ctx context.Context, c *enlace.Conn, methods []string, cost time.Duration) (func(map[string]timing), error) {
	var releases []func(time.Duration)
	release := func(used map[string]timing) {
		for i, done := range releases {
			t := used[methods[i]]
			done(t.duration)
			c.Budget(methods[i]).Report(t.operating, t.resetAt)
		}
	}
	for _, method := range methods {
		done, err := c.Budget(method).Acquire(ctx, max(leastCost, cost))
		if err != nil {
			release(nil)
			return nil, waitError(method, err)
		}
		releases = append(releases, done)
	}
	return release, nil
}

// waitError is for a call that was not sent because its turn did not come in time.
func waitError(method string, err error) error {
	kind := enlace.ErrRateLimited
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		kind = enlace.ErrCanceled
	}
	return &enlace.Error{Provider: Name, Op: method, Kind: kind, Outcome: enlace.OutcomeNotRun, Partial: true, Err: err}
}

// reportBlocked notes that the portal has refused a method for its run time: its
// account differs from ours. Believe the portal's, until something of it falls free.
func reportBlocked(c *enlace.Conn, method string, err error) {
	if e, ok := errors.AsType[*enlace.Error](err); ok && e.Partial {
		limits := Adapter{}.Describe().Limits
		c.Budget(method).Report(limits.RunTime, time.Now().Add(limits.RunTimeWindow/10))
	}
}

// notRun is err of a step before the write: whatever became of that step, the write
// certainly did not run.
func notRun(err error) error { return withOutcome(err, enlace.OutcomeNotRun) }

// partly is err of a step behind one that has already written something.
func partly(err error) error {
	if e, ok := errors.AsType[*enlace.Error](err); ok && e.Outcome != enlace.OutcomeNotRun {
		return err
	}
	return withOutcome(err, enlace.OutcomeUnknown)
}

func withOutcome(err error, outcome enlace.Outcome) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*enlace.Error](err)
	if !ok {
		return &enlace.Error{Provider: Name, Kind: enlace.ErrProtocol, Outcome: outcome, Err: err}
	}
	changed := *e
	changed.Outcome = outcome
	return &changed
}

// outcomeOf says whether a failed write can have taken effect.
func outcomeOf(err error) enlace.Outcome {
	if e, ok := errors.AsType[*enlace.Error](err); ok {
		return e.Outcome
	}
	return enlace.OutcomeUnknown
}

// saysNotFound says whether the portal itself said that an item does not exist: its
// code and not only a status, which any proxy may send (sheet 2.5, 5.7).
func saysNotFound(err error) bool {
	return codeOf(err) == "NOT_FOUND"
}

// saysDenied says whether the portal said that the account may not see an item.
func saysDenied(err error) bool { return codeOf(err) == "ACCESS_DENIED" }

// codeOf is the portal's own code in capitals.
func codeOf(err error) string {
	e, ok := errors.AsType[*enlace.Error](err)
	if !ok {
		return ""
	}
	return strings.ToUpper(e.Code)
}

// invalid is a mutation or an argument that is not sent.
func invalid(op, field, problem, allowed string) error {
	return &enlace.Error{Provider: Name, Op: op, Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeNotRun,
		Err: &enlace.ValidationError{Faults: []enlace.Fault{{Field: field, Problem: problem, Allowed: allowed}}}}
}

func unsupported(op, message string) error {
	return &enlace.Error{Provider: Name, Op: op, Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun, Message: message}
}
