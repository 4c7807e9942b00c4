package memory

import (
	"context"

	"github.com/enlace-go/enlace"
)

type checkpointKey struct {
	enlace.Ref
	entity string
}

// LoadCheckpoint implements [enlace.CheckpointStore].
func (s *Store) LoadCheckpoint(ctx context.Context, ref enlace.Ref, entity string) (enlace.Checkpoint, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Checkpoint{}, err
	}
	defer s.mu.Unlock()
	return s.checkpoints[checkpointKey{ref, entity}], nil
}

// SaveCheckpoint implements [enlace.CheckpointStore].
func (s *Store) SaveCheckpoint(ctx context.Context, ref enlace.Ref, entity string, cp enlace.Checkpoint) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	key := checkpointKey{ref, entity}
	if s.checkpoints[key].Version != cp.Version {
		return enlace.ErrConflict
	}
	cp.Version++
	cp.UpdatedAt = now()
	s.checkpoints[key] = cp
	return nil
}

// DeleteCheckpoints implements [enlace.CheckpointStore].
func (s *Store) DeleteCheckpoints(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for key := range s.checkpoints {
		if key.Ref == ref {
			delete(s.checkpoints, key)
		}
	}
	return nil
}
