# Runs programs in the guest for package guest: the far end of Sessions, on a virtio-serial port. Debian's perl-base, which every
# image has, is enough. Started with the port's path and a word that both ends say first, so that what was left on the port is skipped.
# Frames both ways: a letter, the session's number and a length (32 bits each, big endian), and so many bytes.
use strict;
use warnings;
use POSIX ();
use Fcntl qw(O_RDWR O_NONBLOCK O_NOCTTY F_SETFL F_GETFL);
use Errno qw(EAGAIN EINTR EBUSY);

my ($port, $word) = @ARGV;
my $window = 262144;    # bytes that one side may send before the other one has taken them
my %session;            # number -> pid, in, out, err, pty, inbuf, eof, credit, status
my ($rbuf, $wbuf, $synced) = ('', $word, 0);

# A helper that a restored machine still has holds the port.
my $note = '/run/n3x-session.pid';
my $P;
for my $try (1 .. 50) {
    last if sysopen($P, $port, O_RDWR | O_NONBLOCK | O_NOCTTY);
    die "open $port: $!\n" if $! != EBUSY || $try == 50;
    if (open(my $f, '<', $note)) {
        my $old = <$f> // '';
        my $line = '';
        if ($old =~ /^([0-9]+)$/ && open(my $c, '<', "/proc/$1/cmdline")) { $line = <$c> // ''; }
        kill('KILL', $1) if $line =~ /\0\Q$port\E\0/ && $old =~ /^([0-9]+)$/;
    }
    select(undef, undef, undef, 0.1);
}
if (open(my $f, '>', $note)) { print $f $$; close $f; }
$SIG{PIPE} = 'IGNORE';
$SIG{CHLD} = sub { };
$SIG{HUP} = 'IGNORE';

sub put { my ($t, $id, $data) = @_; $wbuf .= $t . pack('NN', $id, length $data) . $data; }

sub nonblocking { fcntl($_[0], F_SETFL, fcntl($_[0], F_GETFL, 0) | O_NONBLOCK); $_[0]; }

sub size { my ($fh, $rows, $cols) = @_; my $w = pack('SSSS', $rows, $cols, 0, 0); ioctl($fh, 0x5414, $w); }    # TIOCSWINSZ

# terminal makes a pseudo-terminal by hand: perl-base has no module for it.
sub terminal {
    sysopen(my $m, '/dev/ptmx', O_RDWR | O_NOCTTY) or die "open /dev/ptmx: $!\n";
    my $lock = pack('i', 0);
    ioctl($m, 0x40045431, $lock) or die "unlock a terminal: $!\n";    # TIOCSPTLCK
    my $n = pack('i', 0);
    ioctl($m, 0x80045430, $n) or die "name a terminal: $!\n";         # TIOCGPTN
    return ($m, '/dev/pts/' . unpack('i', $n));
}

# begin starts a program: "rows cols" or "" without a terminal, its folder, how many variables, these, and its words, with zero bytes between.
sub begin {
    my ($id, $data) = @_;
    my ($tty, $dir, $vars, @rest) = split(/\0/, $data, -1);
    my @vars = splice(@rest, 0, $vars);
    my %s = (inbuf => '', eof => 0, credit => $window, took => 0);
    my ($slave, @child);
    if ($tty ne '') {
        my $master;
        ($master, $slave) = terminal();
        size($master, split(/ /, $tty));
        @s{qw(in out pty)} = ($master, $master, 1);
    } else {
        for my $name (qw(in out err)) {
            pipe(my $r, my $w) or die "make a pipe: $!\n";
            $s{$name} = $name eq 'in' ? $w : $r;
            push @child, $name eq 'in' ? $r : $w;
        }
    }
    pipe(my $failed, my $failure) or die "make a pipe: $!\n";    # closed by exec, or tells why there was none
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        my $why = eval {
            POSIX::setsid();
            $SIG{$_} = 'DEFAULT' for qw(PIPE CHLD HUP);
            if ($tty ne '') {
                sysopen(my $t, $slave, O_RDWR) or die "open $slave: $!\n";    # the first terminal of a session leader becomes its own
                @child = ($t, $t, $t);
            }
            POSIX::dup2(fileno($child[$_]), $_) // die "dup2: $!\n" for 0 .. 2;
            chdir($dir) or chdir('/');
            for my $v (@vars) { my ($k, $x) = split(/=/, $v, 2); $ENV{$k} = $x; }
            no warnings 'exec';
            exec { $rest[0] } @rest or die "$rest[0]: $!\n";
        } || $@;
        syswrite($failure, $why);
        POSIX::_exit(127);
    }
    close $failure;
    close $_ for @child;
    sysread($failed, my $why, 4096);
    if (defined $why && $why ne '') { waitpid($pid, 0); die $why; }
    $s{pid} = $pid;
    nonblocking($s{$_}) for grep { $s{$_} } qw(in out err);
    $session{$id} = \%s;
}

sub take {
    my ($t, $id, $data) = @_;
    if ($t eq 'O') { eval { begin($id, $data); 1 } or put('F', $id, $@); return; }
    my $s = $session{$id} or return;
    if    ($t eq 'I' && $data eq '') { $s->{eof} = 1; }
    elsif ($t eq 'I')                { $s->{inbuf} .= $data; }
    elsif ($t eq 'W')                { size($s->{out}, unpack('NN', $data)) if $s->{pty}; }
    elsif ($t eq 'A')                { $s->{credit} += unpack('N', $data); }
    elsif ($t eq 'S')                { kill(unpack('N', $data), -$s->{pid}); }
    elsif ($t eq 'C')                { hang_up($s); }
}

sub hang_up {    # nobody is at the other end any more, as when a terminal is closed
    my ($s) = @_;
    kill('HUP', -$s->{pid});
    close $s->{in} if $s->{in};
    if ($s->{pty}) { close $s->{out} if $s->{out} && defined fileno($s->{out}); $s->{out} = undef; }
    @$s{qw(in inbuf credit gone)} = (undef, '', $window, 1);    # what it still writes, nobody reads
}

sub feed {    # what a program reads
    my ($id, $s) = @_;
    if ($s->{inbuf} ne '') {
        my $n = syswrite($s->{in}, $s->{inbuf});
        if (!defined $n) {
            return if $! == EAGAIN || $! == EINTR;
            $n = length $s->{inbuf};    # nobody reads it any more
        }
        substr($s->{inbuf}, 0, $n) = '';
        put('A', $id, pack('N', $n));
    }
    return if $s->{inbuf} ne '' || !$s->{eof} || !$s->{in};
    if ($s->{pty}) { syswrite($s->{in}, "\x04"); }
    else           { close $s->{in}; }
    $s->{in} = undef;
}

sub drain {    # what a program wrote; false when there is no more now
    my ($id, $s, $name) = @_;
    my $room = $s->{credit} < 16384 ? $s->{credit} : 16384;
    return 0 if !$s->{$name} || $room <= 0 || length $wbuf > $window;
    my $n = sysread($s->{$name}, my $data, $room);
    return 0 if !defined $n && ($! == EAGAIN || $! == EINTR);
    if (!$n) { $s->{$name} = undef; return 0; }    # also EIO: nobody has the terminal open any more
    return 1 if $s->{gone};
    $s->{credit} -= $n;
    put($name eq 'out' ? 'o' : 'e', $id, $data);
    return 1;
}

while (1) {
    for my $id (keys %session) {
        my $s = $session{$id};
        if (!defined $s->{status} && waitpid($s->{pid}, POSIX::WNOHANG()) == $s->{pid}) {
            $s->{status} = $? & 127 ? 128 + ($? & 127) : $? >> 8;
        }
        next if !defined $s->{status};
        1 while drain($id, $s, 'out') || drain($id, $s, 'err');
        next if $s->{credit} <= 0 || length $wbuf > $window;    # there may be more
        put('X', $id, pack('N', $s->{status}));
        delete $session{$id};
    }
    my ($r, $w) = ('', '');
    vec($r, fileno($P), 1) = 1;
    vec($w, fileno($P), 1) = 1 if $wbuf ne '';
    for my $s (values %session) {
        vec($w, fileno($s->{in}), 1) = 1 if $s->{in} && ($s->{inbuf} ne '' || $s->{eof});
        next if $s->{credit} <= 0 || length $wbuf > $window;
        for my $name (qw(out err)) { vec($r, fileno($s->{$name}), 1) = 1 if $s->{$name}; }
    }
    my $n = select($r, $w, undef, 0.5);
    next if $n <= 0;
    if (vec($r, fileno($P), 1)) {
        my $got = sysread($P, $rbuf, 65536, length $rbuf);
        exit 0 if defined $got && $got == 0 || !defined $got && $! != EAGAIN && $! != EINTR;    # the host is gone
    }
    if (!$synced) {
        my $at = index($rbuf, $word);
        if ($at < 0) { $rbuf = substr($rbuf, -length $word) if length $rbuf > length $word; }
        else         { substr($rbuf, 0, $at + length $word) = ''; $synced = 1; }
    }
    while ($synced && length $rbuf >= 9) {
        my ($t, $id, $len) = unpack('aNN', $rbuf);
        last if length $rbuf < 9 + $len;
        my $data = substr($rbuf, 9, $len);
        substr($rbuf, 0, 9 + $len) = '';
        exit 0 if $t eq 'Q';
        take($t, $id, $data);
    }
    for my $id (keys %session) {
        my $s = $session{$id};
        feed($id, $s) if $s->{in} && vec($w, fileno($s->{in}), 1);
        for my $name (qw(out err)) { drain($id, $s, $name) if $s->{$name} && vec($r, fileno($s->{$name}), 1); }
    }
    if ($wbuf ne '') {
        my $sent = syswrite($P, $wbuf);
        substr($wbuf, 0, $sent) = '' if defined $sent;
    }
}
