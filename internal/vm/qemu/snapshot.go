package qemu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"n3x/internal/diag"
)

// State is a machine's state at a moment: memory, processors, devices and disks are in the overlays of its disks, under the name; the
// console's text is here.
type State struct {
	name           string
	unread, recent []byte
}

// Save keeps the machine's state in the overlays of its disks. It stands still meanwhile; one that is paused stays so. Until [VM.Forget] the
// state takes as much space as the guest's memory that is in use.
//
// It is an error when there is no disk with an overlay, when a disk is written itself ([Disk.Writable]), and when QEMU cannot save one of the
// machine's devices; the machine then runs on as before.
func (v *VM) Save(ctx context.Context, name string) (*State, error) {
	if err := v.snapshot(ctx, "snapshot-save", name); err != nil {
		return nil, fmt.Errorf("save the state of machine %s: %w", v.m.Name, err)
	}
	s := &State{name: name}
	if v.console != nil {
		s.unread, s.recent = v.console.keep()
	}
	return s, nil
}

// Load puts a state back, of this VM or of another one with the same description and overlays; it is best paused before. After an error the
// machine is in no state that is of any use.
func (v *VM) Load(ctx context.Context, s *State) error {
	if err := v.snapshot(ctx, "snapshot-load", s.name); err != nil {
		return fmt.Errorf("put back a state of machine %s: %w", v.m.Name, err)
	}
	if v.console != nil {
		v.console.putBack(s.unread, s.recent)
	}
	return nil
}

// Forget drops a state from the overlays.
func (v *VM) Forget(ctx context.Context, s *State) error {
	if err := v.snapshot(ctx, "snapshot-delete", s.name); err != nil {
		return fmt.Errorf("forget a state of machine %s: %w", v.m.Name, err)
	}
	return nil
}

// snapshot does one thing with all disks. The firmware's variables are no disk here: they are part of the machine's memory, and QEMU writes
// them back itself.
func (v *VM) snapshot(ctx context.Context, command, name string) error {
	args := map[string]any{"tag": name}
	var disks []string
	for i, d := range v.m.Disks {
		if d.Writable {
			return diag.Userf(diag.Pos{}, "what it writes goes into %s itself, which has no room for states", d.Path)
		}
		disks = append(disks, diskNode(i))
	}
	if len(disks) == 0 {
		return diag.Userf(diag.Pos{}, "it has no disk to keep it in")
	}
	args["devices"] = disks
	if command != "snapshot-delete" {
		args["vmstate"] = disks[0]
	}
	return v.job(ctx, command, args)
}

// jobPoll is how often a job is asked whether it has ended; most take a second.
const jobPoll = 20 * time.Millisecond

// job runs one of QEMU's jobs to its end (qapi/job.json).
func (v *VM) job(ctx context.Context, command string, args map[string]any) error {
	id := fmt.Sprintf("n3x%d", v.jobs.Add(1))
	args["job-id"] = id
	if err := v.QMP(ctx, command, args, nil); err != nil {
		return err
	}
	for {
		var jobs []struct {
			ID, Status, Error string
		}
		if err := v.QMP(ctx, "query-jobs", nil, &jobs); err != nil {
			return err
		}
		for _, j := range jobs {
			if j.ID != id || j.Status != "concluded" {
				continue
			}
			err := v.QMP(ctx, "job-dismiss", map[string]string{"id": id}, nil)
			if j.Error != "" {
				err = errors.New(j.Error)
			}
			return err
		}
		select {
		case <-time.After(jobPoll):
		case <-v.done:
			return errEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
