package rdstationtest

import "time"

// job is work that becomes due by the account's clock: an event's effect, a webhook's delivery.
type job struct {
	due   time.Time
	timer *time.Timer
}

// schedule runs work at due, without the lock. It needs the lock itself.
func (a *Account) schedule(due time.Time, work func()) {
	if a.closed {
		return
	}
	j := &job{due: due}
	a.jobs[j] = struct{}{}
	j.timer = time.AfterFunc(max(0, due.Sub(a.now())), func() { a.run(j, work) })
}

func (a *Account) run(j *job, work func()) {
	a.mu.Lock()
	if _, waiting := a.jobs[j]; !waiting {
		a.mu.Unlock()
		return
	}
	delete(a.jobs, j)
	a.running++
	a.mu.Unlock()
	work()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	a.settled.Broadcast()
}

// Wait returns when no work is due or under way any more. Work that is due later, such as a retry
// of a webhook, it does not wait for.
func (a *Account) Wait() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.running > 0 || a.due() {
		a.settled.Wait()
	}
}

func (a *Account) due() bool {
	now := a.now()
	for j := range a.jobs {
		if !j.due.After(now) {
			return true
		}
	}
	return false
}

// Close gives up all work that is due later, breaks deliveries off, and returns when nothing of
// the account runs any more. Requests are answered still, but webhooks hear of nothing.
func (a *Account) Close() {
	a.stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for j := range a.jobs {
		j.timer.Stop()
	}
	clear(a.jobs)
	for a.running > 0 {
		a.settled.Wait()
	}
	a.client.CloseIdleConnections()
}
