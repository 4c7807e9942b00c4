package enlace

import (
	"context"

	"github.com/enlace-go/enlace/internal/transport"
)

// Lane is how urgent requests are. Those that wait for the same rate limit go in
// the order of the lanes, and the tenants within a lane in turn. A lane that does
// not move at all for ten seconds goes first once.
type Lane uint8

// The lanes, the most urgent first.
const (
	LaneInteractive Lane = iota // a person waits for it; what a Conn does unless told otherwise
	LaneWebhook                 // an event is being followed up
	LaneSync                    // a run reads what has changed
	LaneBackfill                // a run reads everything
)

// WithLane returns a context whose requests go in that lane. Sync chooses its own.
func WithLane(ctx context.Context, lane Lane) context.Context {
	return transport.WithLane(ctx, transport.Lane(lane))
}
