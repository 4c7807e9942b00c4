package transport

import "context"

// Lane is how urgent a request is. Whoever waits for the same quota goes in the
// order of the lanes.
type Lane uint8

// The lanes, the most urgent first.
const (
	Interactive Lane = iota // a person waits for it
	Webhook                 // an event is being followed up
	Sync                    // a run reads or writes what has changed
	Backfill                // a run reads everything
	laneCount
)

type laneKey struct{}

// WithLane returns a context whose requests go in that lane.
func WithLane(ctx context.Context, lane Lane) context.Context {
	return context.WithValue(ctx, laneKey{}, min(lane, laneCount-1))
}

// laneOf is Interactive unless ctx says otherwise.
func laneOf(ctx context.Context) Lane {
	lane, _ := ctx.Value(laneKey{}).(Lane)
	return lane
}
