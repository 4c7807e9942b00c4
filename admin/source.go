package admin

import (
	"context"
)

// part is what one source gave for a page, or why it gave nothing.
type part[T any] struct {
	Value   T
	Problem *sourceProblem // nil if Value is there
}

// sourceProblem is a failure of one source, in words.
type sourceProblem struct{ Title, Code string }

// read starts to read one source of a page and returns the function that waits for
// it. A source that fails, hangs or panics costs its part and not the page. What
// hangs is waited for by Close and cannot pile up: there are at most so many.
func read[T any](a *Admin, ctx context.Context, c *call, load func(context.Context) (T, error)) (wait func() part[T]) {
	type outcome struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, a.options.SourceTimeout)
	done := make(chan outcome, 1)
	select {
	case a.limits.sources <- struct{}{}:
		a.work.Go(func() {
			defer func() {
				<-a.limits.sources
				if cause := recover(); cause != nil {
					a.logger.Error("admin source panicked", "request", c.id, "panic", cause)
					done <- outcome{err: newProblem(c, "internal")}
				}
			}()
			value, err := load(ctx)
			done <- outcome{value, err}
		})
	default:
		done <- outcome{err: newProblem(c, "store_unavailable")}
	}
	return func() part[T] {
		defer cancel()
		var out outcome
		select {
		case out = <-done:
		case <-ctx.Done():
			out.err = newProblem(c, "timed_out")
		}
		if out.err == nil {
			return part[T]{Value: out.value}
		}
		p := problemOf(c, out.err)
		a.logger.Warn("admin source failed", "request", c.id, "page", c.mount.path, "code", p.code, "error", out.err)
		return part[T]{Problem: &sourceProblem{Title: p.title, Code: p.code}}
	}
}
