package enlace

// Watch calls observer with everything that the service does from now on, beside
// [Config.Observer] and under the same rules, until stop is called. stop may be
// called more than once; an observation that is on its way may still arrive during
// the call, and none after it. Pages that show what is going on live on it.
//
// Of other processes with the same store it tells by [Signal], if the store is a
// [Notifier] and both processes are in [Service.Run]; otherwise what they do is found by
// reading the store.
func (s *Service) Watch(observer Observer) (stop func()) {
	s.watchersMu.Lock()
	defer s.watchersMu.Unlock()
	s.watcherKey++
	key := s.watcherKey
	s.watchers[key] = observer
	s.watched.Store(int64(len(s.watchers)))
	return func() {
		s.watchersMu.Lock()
		defer s.watchersMu.Unlock()
		delete(s.watchers, key)
		s.watched.Store(int64(len(s.watchers)))
	}
}
