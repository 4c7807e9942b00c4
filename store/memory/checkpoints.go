package memory

import (
	"context"

	"github.com/enlace-go/enlace"
)

// LoadCheckpoint implements [enlace.CheckpointStore].
func (s *Store) LoadCheckpoint(ctx context.Context, ref enlace.Ref, entity string) (enlace.Checkpoint, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Checkpoint{}, err
	}
	defer s.end(ctx)
	return s.checkpoints.value(entityKey{ref, entity}), nil
}

// SaveCheckpoint implements [enlace.CheckpointStore].
func (s *Store) SaveCheckpoint(ctx context.Context, ref enlace.Ref, entity string, cp enlace.Checkpoint) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	key := entityKey{ref, entity}
	if s.checkpoints.value(key).Version != cp.Version {
		return enlace.ErrConflict
	}
	cp.Version++
	cp.UpdatedAt, cp.Began = now(), instant(cp.Began)
	s.checkpoints.set(s.undo, key, cp)
	return nil
}

// DeleteCheckpoints implements [enlace.CheckpointStore].
func (s *Store) DeleteCheckpoints(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for key := range s.checkpoints.all() {
		if key.Ref == ref {
			s.checkpoints.delete(s.undo, key)
		}
	}
	return nil
}
