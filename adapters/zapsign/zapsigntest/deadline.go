package zapsigntest

import "time"

// deadlineOf reads date_limit_to_sign. A bare date ends with its day (sheet 3.5); "" is none.
func deadlineOf(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.Add(24*time.Hour - time.Second + 999*time.Microsecond), true
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.UTC(), err == nil
}

// setDeadline plans the alerts and the end (F47); the zero time is no deadline.
func (a *API) setDeadline(d *document, deadline time.Time) {
	d.deadline, d.expired = deadline, false
	d.deadlineVersion++
	if deadline.IsZero() {
		return
	}
	version := d.deadlineVersion
	at := func(moment time.Time, run func()) {
		a.plan(moment, func() {
			if d.deadlineVersion == version && d.isPending() {
				run()
			}
		})
	}
	for _, days := range []int{7, 3, 1} {
		if alert := deadline.AddDate(0, 0, -days); alert.After(a.now()) {
			at(alert, func() { a.emitExpiry(d, "doc_expiration_alert") })
		}
	}
	at(deadline, func() {
		d.expired = true
		a.log(d, "", "Documento expirado", "")
		a.emitExpiry(d, "doc_expired")
	})
}

// maxReminders is how often signers are reminded (sheet 2.1.1).
const maxReminders = 3

// planReminders has the signers reminded who got their first message automatically.
func (a *API) planReminders(d *document, number int) {
	if d.reminderDays == 0 || number > maxReminders {
		return
	}
	a.plan(d.createdAt.AddDate(0, 0, d.reminderDays*number), func() {
		if !d.isPending() || d.expired {
			return
		}
		for _, s := range d.signers {
			if s.isOpen() && s.invited {
				a.send(s, reminder, "", s.sendEmail, s.sendWhatsapp)
			}
		}
		a.planReminders(d, number+1)
	})
}
